# SPDX-License-Identifier: Apache-2.0
# One Makefile, not recursive; each folder's part.mk is the link manifest of its binary.
#
#   make              everything (as an ordinary user)        make run     install what is missing, build, run on this host
#   make test         install what is missing, build, test    make check   format, lint, layering, struct layout
#   make bench        benchmarks (ONLY=prefix for a part)     make fuzz    every fuzz target for FUZZ_SECONDS each
#   make install      DESTDIR= PREFIX=                        make SAN=1   with ASan and UBSan, in build/san
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

VERSION  := 0.1.0
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       := gcc
CLANG    ?= clang-14
STRIP    ?= llvm-strip-14
BPFTOOL  ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
ifdef SAN
BUILD    ?= build/san
else
BUILD    ?= build
endif
# Kernel programs have no sanitizer: build/san takes those of build.
BPFBUILD := $(BUILD:%/san=%)

WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wno-format-nonliteral \
            -Wpointer-arith -Wundef -Wvla
CPPFLAGS += -I. $(addprefix -I,$(sort $(BUILD) $(BPFBUILD))) -D_GNU_SOURCE -DPST_VERSION='"$(VERSION)"' -DPST_PREFIX='"$(PREFIX)"'
CFLAGS   += -std=gnu11 -O2 -g $(WARN) -fPIE -fstack-protector-strong -fstack-clash-protection -fno-strict-aliasing
LDFLAGS  += -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
ifdef SAN
CFLAGS   += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DPST_SAN=1
LDFLAGS  += -fsanitize=address,undefined
else
CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Werror -Wno-unused-function -I. -I$(BUILD)
BPF_ARCH := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
BPF_CFLAGS += -D__TARGET_ARCH_$(BPF_ARCH)

STAGES   := loader collector enricher policyd exporter cli
BIN_cli  := penstock
$(foreach s,$(filter-out cli,$(STAGES)),$(eval BIN_$(s) := penstock-$(s)))

include $(wildcard proto/part.mk) $(foreach s,$(STAGES),$(wildcard $(s)/part.mk))

# ---- kernel programs -------------------------------------------------------
BPF_SRC  := $(wildcard bpf/*.bpf.c)
BPF_OBJ  := $(BPF_SRC:bpf/%.bpf.c=$(BPFBUILD)/bpf/%.bpf.o)
SKEL     := $(BPF_OBJ:.bpf.o=.skel.h)

$(BPFBUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(STRIP) -g $@
$(BPFBUILD)/bpf/%.skel.h: $(BPFBUILD)/bpf/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $(*F)_bpf > $@

# ---- user space ------------------------------------------------------------
# lib <name> <sources>: objects under build/obj, archive build/lib/libpst-<name>.a
define lib
OBJ_$(1) := $(patsubst %.c,$(BUILD)/obj/%.o,$(2))
$(BUILD)/lib/libpst-$(1).a: $$(OBJ_$(1))
	@mkdir -p $$(@D)
	$$(call say,AR,$$@)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
ALL_OBJ += $$(OBJ_$(1))
endef

$(eval $(call lib,base,$(wildcard proto/base/*.c)))
$(eval $(call lib,wire,$(wildcard proto/wire/*.c)))
LIB_base := $(BUILD)/lib/libpst-base.a
LIB_wire := $(BUILD)/lib/libpst-wire.a
LD_base  := -lyaml -lseccomp -lm
LD_wire  := -lmsgpackc

# stage <name>: all but main.c in an archive (what unit tests link), main.c makes the binary
define stage
$(eval $(call lib,$(1),$(filter-out $(1)/main.c,$(wildcard $(1)/*.c $(1)/*/*.c))))
OBJ_$(1)_main := $(if $(wildcard $(1)/main.c),$(BUILD)/obj/$(1)/main.o)
LIBS_$(1) := $(BUILD)/lib/libpst-$(1).a $$(if $$(filter wire,$$($(1)_USES)),$$(LIB_wire)) $$(LIB_base)
LD_$(1) := $$($(1)_LDLIBS) $$(if $$(filter wire,$$($(1)_USES)),$$(LD_wire)) $$(LD_base)
$(BUILD)/bin/$(BIN_$(1)): $$(OBJ_$(1)_main) $$(LIBS_$(1))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$(OBJ_$(1)_main) -Wl,--start-group $$(LIBS_$(1)) -Wl,--end-group $$(LD_$(1))
ALL_OBJ += $$(OBJ_$(1)_main)
BINS += $(if $(wildcard $(1)/main.c),$(BUILD)/bin/$(BIN_$(1)))
endef
$(foreach s,$(STAGES),$(eval $(call stage,$(s))))

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Who knows the prefix is compiled again when it is another one: `make`, then `make install PREFIX=/usr`.
$(BUILD)/prefix: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX)' | cmp -s - $@ || echo '$(PREFIX)' > $@
$(BUILD)/obj/policyd/config.o $(BUILD)/obj/cli/util.o: $(BUILD)/prefix

$(BUILD)/obj/loader/images.o $(BUILD)/fuzzobj/loader/images.o: | $(SKEL)

# ---- tests -----------------------------------------------------------------
# tests/unit/test_x.c links proto; tests/unit/<stage>/test_x.c also that stage; tests/bpf/test_x.c libbpf and the skeletons
UNIT     := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
UNIT_ST  := $(patsubst %.c,$(BUILD)/%,$(wildcard $(foreach s,$(STAGES),tests/unit/$(s)/test_*.c)))
BPFTESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bpf/test_*.c))
BENCHES  := $(patsubst %.c,$(BUILD)/%,$(filter-out %.bpf.c,$(wildcard tests/bench/bench_*.c)))
TEST_SKEL := $(patsubst %.bpf.c,$(BUILD)/%.skel.h,$(wildcard tests/bpf/*.bpf.c tests/bench/*.bpf.c))
HELPERS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/helpers/*.c))
PRELOADS := $(patsubst tests/helpers/preload/%.c,$(BUILD)/tests/helpers/%.so,$(wildcard tests/helpers/preload/*.c))
UNIT_CFLAGS := -Wno-missing-prototypes

$(UNIT): $(BUILD)/tests/unit/%: tests/unit/%.c $(LIB_wire) $(LIB_base)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(UNIT_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -Wl,--start-group $(LIB_wire) $(LIB_base) -Wl,--end-group $(LD_wire) $(LD_base) -lnng -lcmocka -lpthread
# What the command prints for policyd is read by policyd's own parser.
UNIT_WITH_cli := $(BUILD)/lib/libpst-policyd.a
define unit_stage
$(filter $(BUILD)/tests/unit/$(1)/%,$(UNIT_ST)): $(BUILD)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $$(LIBS_$(1)) $$(UNIT_WITH_$(1)) $$(LIB_wire)
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(UNIT_CFLAGS) -MMD -MP $$(LDFLAGS) -o $$@ $$< -Wl,--start-group $$(LIBS_$(1)) $$(UNIT_WITH_$(1)) $$(LIB_wire) $$(LIB_base) -Wl,--end-group $$(LD_$(1)) $$(LD_wire) $$(LD_base) -lcmocka -lpthread
endef
$(foreach s,$(STAGES),$(if $(filter $(BUILD)/tests/unit/$(s)/%,$(UNIT_ST)),$(eval $(call unit_stage,$(s)))))
$(BPFTESTS): $(BUILD)/tests/bpf/%: tests/bpf/%.c $(LIB_base) $(LIB_wire) $(BUILD)/lib/libpst-policyd.a | $(SKEL) $(filter $(BUILD)/tests/bpf/%,$(TEST_SKEL))
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(UNIT_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -Wl,--start-group $(BUILD)/lib/libpst-policyd.a $(LIB_wire) $(LIB_base) -Wl,--end-group $(LD_wire) -lbpf -lelf -lz $(LD_base) -lcmocka -lpthread
$(BENCHES): $(BUILD)/tests/bench/%: tests/bench/%.c $(BUILD)/lib/libpst-collector.a $(BUILD)/lib/libpst-policyd.a $(LIB_wire) $(LIB_base) | $(SKEL) $(TEST_SKEL)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(UNIT_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -Wl,--start-group $(BUILD)/lib/libpst-collector.a $(BUILD)/lib/libpst-policyd.a $(LIB_wire) $(LIB_base) -Wl,--end-group $(collector_LDLIBS) $(LD_wire) $(LD_base) -lbpf -lelf -lz -lpthread
$(BUILD)/tests/%.bpf.o: tests/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(STRIP) -g $@
$(BUILD)/tests/%.skel.h: $(BUILD)/tests/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $(*F)_bpf > $@
$(HELPERS): $(BUILD)/tests/helpers/%: tests/helpers/%.c $(LIB_wire) $(LIB_base)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(UNIT_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -Wl,--start-group $(LIB_wire) $(LIB_base) -Wl,--end-group $(LD_wire) $(LD_base) -lpthread
# Policies in force without the loader, for the table of attacks.
ENFORCER := $(BUILD)/tests/helpers/enforcer
$(ENFORCER): tests/bpf/enforcer.c $(LIB_base) $(LIB_wire) $(BUILD)/lib/libpst-policyd.a | $(SKEL)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(UNIT_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -Wl,--start-group $(BUILD)/lib/libpst-policyd.a $(LIB_wire) $(LIB_base) -Wl,--end-group $(LD_wire) -lbpf -lelf -lz $(LD_base) -lpthread
$(PRELOADS): $(BUILD)/tests/helpers/%.so: tests/helpers/preload/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(UNIT_CFLAGS) -fPIC -shared -o $@ $< -ldl
# The program that the tests start by the thousand: without libc.
$(BUILD)/tests/helpers/brief: private CFLAGS += -fno-stack-protector -fno-pie
$(BUILD)/tests/helpers/brief: private LDFLAGS := -nostdlib -static
# What attacks run: without libc too, and where ld.so can be given it.
$(BUILD)/tests/helpers/marker: private CFLAGS += -fno-stack-protector -fPIE
$(BUILD)/tests/helpers/marker: private LDFLAGS := -nostdlib -static-pie

# ---- fuzz: tests/fuzz/fuzz_x.c with proto, tests/fuzz/<stage>/fuzz_x.c also with that stage's sources ----
FUZZ_SECONDS ?= 60
FUZZ     := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_ST  := $(patsubst %.c,$(BUILD)/%,$(wildcard $(foreach s,$(STAGES),tests/fuzz/$(s)/fuzz_*.c)))
FUZZ_CC  := $(CLANG) -std=gnu11 -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -Wno-everything
FUZZ_LD  := $(CLANG) -fsanitize=fuzzer,address,undefined
FUZZ_OBJ := $(patsubst %.c,$(BUILD)/fuzzobj/%.o,$(wildcard proto/base/*.c proto/wire/*.c))
$(BUILD)/fuzzobj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) -MMD -MP -c $< -o $@
$(FUZZ): $(BUILD)/tests/fuzz/%: $(BUILD)/fuzzobj/tests/fuzz/%.o $(FUZZ_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(FUZZ_LD) -o $@ $^ $(LD_wire) $(LD_base)
FUZZ_WITH_cli := $(patsubst %.c,$(BUILD)/fuzzobj/%.o,$(wildcard policyd/fw/*.c))
define fuzz_stage
$(filter $(BUILD)/tests/fuzz/$(1)/%,$(FUZZ_ST)): $(BUILD)/tests/fuzz/$(1)/%: $(BUILD)/fuzzobj/tests/fuzz/$(1)/%.o $(patsubst %.c,$(BUILD)/fuzzobj/%.o,$(filter-out $(1)/main.c,$(wildcard $(1)/*.c $(1)/*/*.c))) $$(FUZZ_WITH_$(1)) $$(FUZZ_OBJ)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(FUZZ_LD) -o $$@ $$^ $$(LD_$(1)) $$(LD_wire) $$(LD_base)
endef
$(foreach s,$(STAGES),$(if $(filter $(BUILD)/tests/fuzz/$(s)/%,$(FUZZ_ST)),$(eval $(call fuzz_stage,$(s)))))

.PHONY: FORCE all deps run test check bench fuzz fuzz-build tests-build install uninstall clean docs bpf bins units
all: bins docs
bpf: $(BPF_OBJ) $(SKEL)
bins: $(BINS)
units: $(UNIT) $(UNIT_ST)
tests-build: bins $(BPFTESTS) $(HELPERS) $(ENFORCER) $(PRELOADS)
fuzz-build: $(FUZZ) $(FUZZ_ST)

deps:
	compose/local/deps.sh
run: deps
	$(MAKE) bins
	compose/local/run.sh $(BUILD)/bin $(ARGS)
test:
	compose/local/deps.sh
	tests/deps.sh
	/usr/bin/python3 tests/run.py $(ONLY)
check:
	tests/check/check.sh $(BUILD)
bench: deps
	tests/deps.sh --bench
	$(MAKE) bins $(BENCHES) $(HELPERS)
	/usr/bin/python3 tests/bench/run.py $(BUILD) $(ONLY) $(ARGS)
fuzz: fuzz-build
	tests/fuzz/run.sh $(BUILD) $(FUZZ_SECONDS)

include $(wildcard docs/part.mk)

install: all
	compose/local/install.sh "$(DESTDIR)" "$(PREFIX)" "$(BUILD)"
uninstall:
	compose/local/uninstall.sh "$(DESTDIR)" "$(PREFIX)"
clean:
	rm -rf build

-include $(ALL_OBJ:.o=.d) $(BPF_OBJ:.o=.d) $(patsubst $(BUILD)/obj/%.o,$(BUILD)/fuzzobj/%.d,$(ALL_OBJ)) $(patsubst $(BUILD)/%,$(BUILD)/fuzzobj/%.d,$(FUZZ) $(FUZZ_ST))
-include $(UNIT:=.d) $(UNIT_ST:=.d) $(BPFTESTS:=.d) $(BENCHES:=.d) $(TEST_SKEL:.skel.h=.bpf.d) $(HELPERS:=.d) $(ENFORCER).d
