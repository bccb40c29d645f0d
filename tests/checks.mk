# Checks beyond the unit tests' own: other sanitizers, fuzzing, fault points. Included by the Makefile, which owns the flags.
#
# "make test" runs a share of all this, see the end. What each check has found is in docs/ROBUSTNESS.md.

# The same tests under checkers that AddressSanitizer excludes: $(call checked,NAME,COMPILER,FLAGS). The device of
# THREADED runs on a thread of its own, which is what ThreadSanitizer is for; Valgrind has one at a time.
THREADED := test_virtqueue_threads test_drivers_threads
CHECKED_FLAGS = $(filter-out -fsanitize=% -fno-sanitize-recover=%,$(HOST_FLAGS))
define checked
$(HOST)/$(1)/obj/$(BUILD)/%.o: $(BUILD)/%.c $(HOST_READY) | packages-test
	$$(call note,HOSTCC,$$< ($(1)))mkdir -p $$(@D) && $(2) $(CHECKED_FLAGS) $(3) -c $$< -o $$@
$(HOST)/$(1)/obj/%.o: %.c $(HOST_READY) | packages-test
	$$(call note,HOSTCC,$$< ($(1)))mkdir -p $$(@D) && $(2) $(CHECKED_FLAGS) -Werror $(3) -c $$< -o $$@
$(foreach name,$(UNIT_NAMES),
$(HOST)/$(1)/$(name): $$($(name)_C:%.c=$(HOST)/$(1)/obj/%.o)
	$$(call note,LINK,$$@)$(2) $(3) $$(filter %.o,$$^) -lcmocka -lm -o $$@
)
endef
$(eval $(call checked,tsan,clang,-fsanitize=thread))
$(eval $(call checked,msan,clang,-fsanitize=memory -fsanitize-memory-track-origins))
$(eval $(call checked,valgrind,gcc,))
SANITIZED := $(THREADED:%=$(HOST)/tsan/%) $(UNIT_NAMES:%=$(HOST)/msan/%) \
  $(patsubst %,$(HOST)/valgrind/%,$(filter-out $(THREADED),$(UNIT_NAMES)))
# What "make test" runs of them: the ring, and the drivers that carry the load.
SANITIZED_SHARE := $(filter %/test_virtqueue_threads %/tsan/test_drivers_threads %/test_virtqueue_lies %/msan/test_virtio_net %/msan/test_virtio_scsi \
  %/valgrind/test_virtio_pci,$(SANITIZED))

# Races, memory that nobody has written, and leaks: what ThreadSanitizer, MemorySanitizer and Valgrind find.
.PHONY: sanitize
sanitize: $(SANITIZED) | packages-test
	@T='$(T)' tools/run-tests $(BUILD) $(SANITIZED)

# Where steps are counted, and what stands in front of entry points to compare them with their limits.
COUNTED_FOLDERS := virtio blk net console rng balloon input fs vsock socket
COUNTED_C := tests/bounds/work.c tests/bounds/drivers.c
COUNTED_WRAP := __sanitizer_cov_trace_pc virtqueue_add virtqueue_kick_prepare virtqueue_get_buf virtqueue_enable_cb virtqueue_detach_unused virtio_config_read \
  virtio_config_write virtio_recover virtio_mend nic_register blk_add blk_complete loop_add ninep_mount fuse_mount scsi_host_poll \
  console_stream_poll vsock_receive vsock_work input_send ide_reset e1000_start hosted_relax platform_wait

# Devices, disks and frames made of a fuzzer's input: one program, called by the names of its targets. Sources that are
# about text or numbers in memory also trace comparisons; it would slow the others down and teach them nothing.
# With WORK=1 they count, too (see bounded-work below), without UBSan, whose checks would be steps.
FUZZ := $(HOST)/fuzz$(if $(WORK),-work)
REACHED := $(HOST)/fuzz-coverage
# Fetched sources may not be there yet, so they are not among what is found by wildcards.
FETCHED_FS := $(FATFS)/ff.c $(FATFS)/ffunicode.c $(LITTLEFS)/lfs2.c $(LITTLEFS)/lfs2_util.c
FUZZ_TARGETS := $(patsubst tests/fuzz/corpus/%.hex,%,$(wildcard tests/fuzz/corpus/*.hex))
FUZZ_C := $(wildcard $(call host_sources,tests/fuzz/fuzz.c)) \
  $(addprefix $(LWIP)/src/,$(addsuffix .c,$(filter core/% api/% netif/% apps/mdns/% apps/sntp/% apps/http/fs apps/http/httpd,$(LWIP_C)))) \
  $(FETCHED_FS)
FUZZ_OBJS := $(FUZZ_C:%.c=$(FUZZ)/obj/%.o)
# tests/fuzz/quiet.c, target_littlefs.c and target_rng.c stand in front of these.
FUZZ_WRAPPED := virtio_log_features virtio_log_queues virtio_log_device lfs2_crc random_is_seeded
comma := ,
FUZZ_SANITIZERS := address$(if $(WORK),,$(comma)undefined)
FUZZ_FLAGS = $(CHECKED_FLAGS) -O2 -Itests/fuzz -fsanitize=$(FUZZ_SANITIZERS),fuzzer-no-link \
  -fno-sanitize-coverage=indirect-calls -fno-sanitize-recover=all
FUZZ_TRACED := $(LWIP)/% boot/bootinfo boot/cmdline boot/pci_caps net/frame% net/lwip% net/net_config blk/partition% apps/%
# Sequence numbers and pointers are most of what these compare.
FUZZ_UNTRACED := $(addprefix $(LWIP)/src/core/,inet_chksum ip mem memp netif pbuf tcp% timeouts)
$(filter-out $(filter-out $(FUZZ_UNTRACED:%=$(FUZZ)/obj/%.o),$(filter $(FUZZ_TRACED:%=$(FUZZ)/obj/%.o),$(FUZZ_OBJS))),$(FUZZ_OBJS)): private TRACE := -fno-sanitize-coverage=trace-cmp
$(FUZZ)/obj/hosted/%.o $(FUZZ)/obj/tests/bounds/%.o: private MODE := -fno-sanitize=fuzzer-no-link
$(foreach folder,$(COUNTED_FOLDERS),$(FUZZ)/obj/$(folder)/%.o): private COUNT := $(if $(WORK),-fsanitize-coverage=trace-pc)
fuzz_compile = $(call note,HOSTCC,$< (fuzz))mkdir -p $(@D) && clang $(FUZZ_FLAGS) $(TRACE) $(COUNT) $(OWN) $(MODE) $(1) -c $< -o $@

$(FUZZ)/obj/$(LITTLEFS)/%.o: private MODE := $(LITTLEFS_FLAGS)
# The web server opens the files of libc/files.c, and applications all have the same main function.
FUZZ_BUILDS := $(FUZZ) $(REACHED) $(HOST)/work
$(FUZZ_BUILDS:%=%/obj/apps/httpd/content.o): private OWN := -include tests/fuzz/http_files.h
$(FUZZ_BUILDS:%=%/obj/apps/nbd/main.o): private OWN := -Dapp_main=nbd_main
$(FUZZ)/obj/$(BUILD)/%.o: $(BUILD)/%.c $(HOST_READY) tests/checks.mk | packages-test
	$(call fuzz_compile,)

$(FUZZ)/obj/%.o: %.c $(HOST_READY) tests/checks.mk | packages-test
	$(call fuzz_compile,-Werror)

$(FUZZ)/fuzzer: $(FUZZ_OBJS) $(if $(WORK),$(COUNTED_C:%.c=$(FUZZ)/obj/%.o))
	$(call note,LINK,$@)clang -fsanitize=$(FUZZ_SANITIZERS),fuzzer \
	  $(patsubst %,-Wl$(comma)--wrap=%,$(WRAPPED) $(FUZZ_WRAPPED) $(if $(WORK),$(COUNTED_WRAP))) $^ -o $@

$(FUZZ_TARGETS:%=$(FUZZ)/%): $(FUZZ)/fuzzer
	$(Q)ln -sf fuzzer $@

.PHONY: fuzz
fuzz: $(FUZZ_TARGETS:%=$(FUZZ)/%)
	@tools/fuzz $(FUZZ) '$(TIME)' $(T)

# The same programs, built to count which lines and branches of the portable code the inputs reach: the seeds, and what
# earlier runs of "make fuzz" have learnt.
REACHED_FLAGS = $(CHECKED_FLAGS) -Itests/fuzz -fsanitize=address
$(patsubst %.c,$(REACHED)/obj/%.o,$(filter-out hosted/% tests/% $(BUILD)/%,$(FUZZ_C))): private MODE := -fprofile-instr-generate \
  -fcoverage-mapping -Werror
$(REACHED)/obj/$(LITTLEFS)/%.o: private MODE := $(LITTLEFS_FLAGS)
$(REACHED)/obj/%.o: %.c $(HOST_READY) tests/checks.mk | packages-test packages-coverage
	$(call note,HOSTCC,$< (coverage))mkdir -p $(@D) && clang $(REACHED_FLAGS) $(OWN) $(MODE) -c $< -o $@

$(REACHED)/fuzzer: $(FUZZ_C:%.c=$(REACHED)/obj/%.o)
	$(call note,LINK,$@)clang -fprofile-instr-generate -fsanitize=address,fuzzer $(WRAPPED:%=-Wl,--wrap=%) \
	  $(FUZZ_WRAPPED:%=-Wl,--wrap=%) $^ -o $@

$(FUZZ_TARGETS:%=$(REACHED)/%): $(REACHED)/fuzzer
	$(Q)ln -sf fuzzer $@

.PHONY: fuzz-coverage
fuzz-coverage: $(FUZZ_TARGETS:%=$(REACHED)/%)
	@tools/fuzz --coverage $(REACHED) $(FUZZ) $(T)

# Every place at which a driver can be hit. The linker puts the program between the code and those places.
FAULT_POINTS_C := $(sort $(wildcard $(call host_sources,tests/faults/fault_points.c)) $(FETCHED_FS))
FAULT_POINTS_WRAP := hosted_register_read hosted_register_write platform_dma_alloc hosted_dma_map hosted_interrupt_raise \
  ring_device_push
$(HOST)/fault_points: $(FAULT_POINTS_C:%.c=$(HOST)/obj/%.o)
	$(call note,LINK,$@)$(CC) -fsanitize=address,undefined $(FAULT_POINTS_WRAP:%=-Wl,--wrap=%) $^ -lcmocka -o $@

.PHONY: fault-points
fault-points: $(HOST)/fault_points
	@$(HOST)/fault_points '$(or $(N),1)'

# The counting build: each basic block of the portable code is a step, and entry points may take no more of them, and of
# register accesses, than their headers and tests/bounds say. Walked through with the fault points, the fuzzer's inputs and
# the unit tests.
COUNTED := $(HOST)/work
COUNTED_OBJS := $(COUNTED_C:%.c=$(COUNTED)/obj/%.o)
$(foreach folder,$(COUNTED_FOLDERS),$(COUNTED)/obj/$(folder)/%.o): private MODE := \
  -fsanitize-coverage=trace-pc
$(COUNTED)/obj/$(LITTLEFS)/%.o: private MODE := $(LITTLEFS_FLAGS)
counted_compile = $(call note,HOSTCC,$< (work))mkdir -p $(@D) && \
  gcc $(CHECKED_FLAGS) -Wno-maybe-uninitialized -Itests/fuzz $(OWN) $(MODE) $(1) -c $< -o $@
counted_link = $(call note,LINK,$@)gcc $(COUNTED_WRAP:%=-Wl,--wrap=%) $(1:%=-Wl,--wrap=%) $(filter %.o,$^) -lcmocka -lm -o $@

$(COUNTED)/obj/$(BUILD)/%.o: $(BUILD)/%.c $(HOST_READY) tests/checks.mk | packages-test
	$(call counted_compile,-w)

$(COUNTED)/obj/%.o: %.c $(HOST_READY) tests/checks.mk | packages-test
	$(call counted_compile,-Werror)

$(COUNTED)/fault_points: $(FAULT_POINTS_C:%.c=$(COUNTED)/obj/%.o) $(COUNTED_OBJS)
	$(call counted_link,$(FAULT_POINTS_WRAP))

# What the fuzzer's inputs make of it, and the unit tests of all drivers.
$(COUNTED)/replay: $(FUZZ_C:%.c=$(COUNTED)/obj/%.o) $(COUNTED)/obj/tests/bounds/replay.o $(COUNTED_OBJS)
	$(call counted_link,$(WRAPPED) $(FUZZ_WRAPPED))

COUNTED_UNIT := $(filter test_virtio_% test_virtqueue% test_ide test_e1000,$(filter-out $(THREADED),$(UNIT_NAMES)))
$(foreach name,$(COUNTED_UNIT),$(eval $(COUNTED)/$(name): $($(name)_C:%.c=$(COUNTED)/obj/%.o) $(COUNTED_OBJS) ; $$(call counted_link,)))

.PHONY: bounded-work
bounded-work: $(COUNTED)/fault_points $(COUNTED)/replay $(COUNTED_UNIT:%=$(COUNTED)/%)
	@$(COUNTED)/fault_points '$(or $(N),1)'
	@$(COUNTED)/replay tests/fuzz/corpus/*.hex
	@T='$(T)' tools/run-tests $(BUILD) $(COUNTED_UNIT:%=$(COUNTED)/%)

# What holds in every case: models of waking up, and proofs about the sources.
.PHONY: prove
prove: | packages-test
	@tools/prove $(BUILD) --only '$(T)'

# What "make test" has to build of all this, and what it tells tools/run-tests of it.
CHECKS := $(SANITIZED_SHARE) $(FUZZ_TARGETS:%=$(FUZZ)/%) $(HOST)/fault_points $(COUNTED)/fault_points $(COUNTED)/replay
CHECK_WORDS := $(SANITIZED_SHARE) fuzz faults work proofs
