# SPDX-License-Identifier: Apache-2.0
# Pages and files that are made from the schema. `make docs` makes them in the build folder, where the check compares them with the
# committed ones; `make docs-update` puts them into the tree.
SCHEMA_DOC := $(BUILD)/docs/gen/schema_doc
DOCS := $(BUILD)/docs/events.md $(BUILD)/docs/schema.json

$(SCHEMA_DOC): docs/gen/schema_doc.c $(LIB_wire) $(LIB_base)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -Wl,--start-group $(LIB_wire) $(LIB_base) -Wl,--end-group $(LD_wire) $(LD_base)
$(BUILD)/docs/events.md: $(SCHEMA_DOC)
	$(call say,GEN,$@)
	$(Q)$< --markdown > $@
$(BUILD)/docs/schema.json: $(SCHEMA_DOC)
	$(call say,GEN,$@)
	$(Q)$< --json > $@

.PHONY: docs-update vectors-update
docs: $(DOCS)
docs-update: $(DOCS)
	cp $(BUILD)/docs/events.md docs/events.md
	cp $(BUILD)/docs/schema.json proto/wire/schema.json
# Published vectors never change; new ones may come.
vectors-update: $(BUILD)/tests/helpers/gen_vectors
	mkdir -p proto/wire/vectors
	$< proto/wire/vectors

-include $(SCHEMA_DOC).d
