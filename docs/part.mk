# SPDX-License-Identifier: Apache-2.0
# Pages and files that are made from the schema and from the tables of policies. `make docs` makes them in the build folder, where the check compares them with the
# committed ones; `make docs-update` puts them into the tree.
SCHEMA_DOC := $(BUILD)/docs/gen/schema_doc
POLICY_DOC := $(BUILD)/docs/gen/policy_doc
DOCS := $(BUILD)/docs/events.md $(BUILD)/docs/schema.json $(BUILD)/docs/policies.md $(BUILD)/docs/policy.schema.json

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

$(POLICY_DOC): docs/gen/policy_doc.c $(LIBS_policyd)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< -Wl,--start-group $(LIBS_policyd) -Wl,--end-group $(LD_policyd)
$(BUILD)/docs/policies.md: $(POLICY_DOC) docs/policies.md
	$(call say,GEN,$@)
	$(Q)$< docs/policies.md > $@
$(BUILD)/docs/policy.schema.json: $(POLICY_DOC)
	$(call say,GEN,$@)
	$(Q)$< --schema > $@

.PHONY: docs-update vectors-update
docs: $(DOCS)
docs-update: $(DOCS)
	cp $(BUILD)/docs/events.md docs/events.md
	cp $(BUILD)/docs/schema.json proto/wire/schema.json
	cp $(BUILD)/docs/policies.md docs/policies.md
	cp $(BUILD)/docs/policy.schema.json docs/policy.schema.json
# Published vectors never change; new ones may come.
vectors-update: $(BUILD)/tests/helpers/gen_vectors
	mkdir -p proto/wire/vectors
	$< proto/wire/vectors

-include $(SCHEMA_DOC).d $(POLICY_DOC).d
