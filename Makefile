# Builds Ferrule and everything it needs, out of tree under $(BUILD), and runs, tests and measures it: see `make help`.
#
# Owns the compiler flags, the link and the order of set-up steps. The steps themselves are scripts in tools/, the list of
# third-party sources is third_party/manifest.tsv, the list of Debian packages is tools/packages.tsv. The memory layout
# is linker.ld.

BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
APP ?= apps/httpd
WWW ?= apps/www
MACHINE ?= q35
ACCEL ?= tcg
CPU ?= max
MEM ?= 128M
PORT ?= 8080
QEMU ?= qemu-system-x86_64
NEWLIB_SRC ?=
LWIP_SRC ?=
FATFS_SRC ?=
LITTLEFS_SRC ?=
SQLITE_SRC ?=
USES ?=
MICROSOCKS_SRC ?=
DISK_SIZE ?=
T ?=
N ?=
SEED ?=
TIME ?= 60
FERRULE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ferrule
export FERRULE_CACHE QEMU

ifneq ($(filter . ./ .. ../ /,$(BUILD)),)
$(error BUILD=$(BUILD): everything in the build folder is removed by "make clean", so it must be one of its own)
endif
ifneq ($(words $(CURDIR) $(BUILD)),2)
$(error make cannot work in a path with blanks: $(CURDIR) $(BUILD))
endif
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-builtin-rules
ifneq ($(filter clean distclean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

V ?= 0
ifeq ($(V),0)
Q := @
note = @echo "  $(1)  $(2)";
else
note =
endif

# What the application is called: ferrule for the one in the tree, else after its file or folder.
APP_PATH := $(patsubst %/,%,$(APP))
NAME := $(if $(filter apps/httpd,$(APP_PATH)),ferrule,$(basename $(notdir $(APP_PATH))))
KERNEL := $(BUILD)/$(NAME).elf
OBJ := $(BUILD)/obj/$(notdir $(firstword $(CC)))
HOST := $(BUILD)/host

.PHONY: all
all: $(KERNEL)

# --- What is compiled, and how -----------------------------------------------------------------------------------------

KERNEL_DIRS := boot arch/x86_64 virtio blk net console rng balloon input vsock fs libc services socket
START_C := libc/start_main.c
KERNEL_C := $(filter-out $(START_C),$(foreach dir,$(KERNEL_DIRS),$(sort $(wildcard $(dir)/*.c))))
KERNEL_S := $(foreach dir,$(KERNEL_DIRS),$(sort $(wildcard $(dir)/*.S)))
KERNEL_OBJS := $(KERNEL_S:%.S=$(OBJ)/%.S.o) $(KERNEL_C:%.c=$(OBJ)/%.o)

# These run in interrupt context or under an emulated KVM without SSE: whole numbers only. Copying memory is theirs too.
INTEGER_C := $(filter boot/% arch/% virtio/% blk/% console/% rng/% balloon/% input/% vsock/%,$(KERNEL_C)) \
  $(filter-out net/lwip_%,$(filter net/%,$(KERNEL_C))) $(filter fs/virtio_%,$(KERNEL_C)) libc/string.c

LWIP := $(BUILD)/src/lwip
LWIP_C := $(addprefix core/,altcp altcp_alloc altcp_tcp def dns inet_chksum init ip mem memp netif pbuf raw stats sys \
    tcp tcp_in tcp_out udp) \
  $(addprefix core/ipv4/,acd autoip dhcp etharp icmp igmp ip4 ip4_addr ip4_frag) \
  $(addprefix core/ipv6/,dhcp6 ethip6 icmp6 inet6 ip6 ip6_addr ip6_frag mld6 nd6) \
  api/err netif/ethernet \
  $(addprefix apps/,http/fs http/http_client http/httpd lwiperf/lwiperf mdns/mdns mdns/mdns_domain mdns/mdns_out \
    mqtt/mqtt sntp/sntp tftp/tftp) \
  $(addprefix apps/snmp/snmp_,asn1 core mib2 mib2_icmp mib2_interfaces mib2_ip mib2_snmp mib2_system mib2_tcp mib2_udp msg \
    pbuf_stream raw scalar table traps)
# lwIP's data path is compiled as one file, in which a packet's many small steps become few. What WRAPPED names, and who
# calls it by its name, stays apart.
LWIP_PATH := $(addprefix core/,def inet_chksum mem pbuf raw udp tcp_in) $(addprefix core/ipv4/,ip4_addr icmp etharp ip4) netif/ethernet
LWIP_OBJS := $(patsubst %,$(OBJ)/lwip/%.o,$(filter-out $(LWIP_PATH),$(LWIP_C)) data_path)

FATFS := $(BUILD)/src/fatfs
MICROSOCKS := $(BUILD)/src/microsocks
FATFS_OBJS := $(OBJ)/fatfs/ff.o $(OBJ)/fatfs/ffunicode.o

LITTLEFS := $(BUILD)/src/littlefs
LITTLEFS_OBJS := $(OBJ)/littlefs/lfs2.o $(OBJ)/littlefs/lfs2_util.o
LITTLEFS_FLAGS := -include fs/littlefs_port.h

# Only for applications that use it: see USES below. Temporary files stay in memory, one thread, no shared libraries.
# -O1, because it is nine megabytes of source in one file, and waits for the disk rather than for the processor.
SQLITE := $(BUILD)/src/sqlite
SQLITE_FLAGS := -w -O1 -DSQLITE_OS_OTHER=1 -DSQLITE_THREADSAFE=0 -DSQLITE_TEMP_STORE=3 -DSQLITE_DEFAULT_SYNCHRONOUS=3 \
  -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_DEPRECATED -DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_DQS=0

NEWLIB := $(BUILD)/newlib/install/x86_64-elf
GCC_LIB = $(eval GCC_LIB := $$(shell gcc -print-libgcc-file-name))$(GCC_LIB)
CC_INCLUDE = $(eval CC_INCLUDE := $$(shell $(CC) -print-file-name=include))$(CC_INCLUDE)

WARNINGS := -Wall -Wextra
INCLUDES := -I. -Iinclude -Inet -I$(LWIP)/src/include -I$(FATFS) -I$(LITTLEFS)
DEFINES := -DFFCONF_H='"fs/ffconf.h"'
# No red zone, because an interrupt uses the same stack. No PIC, CET or stack protector, which need a loader or a
# runtime. Frame pointers, because backtraces walk them. The prefix map keeps this folder's name out of the image.
# Freestanding, but with a C library: the compiler may know memcpy() and its like. Loops are not padded: no loop here is worth
# the space in all of them.
TARGET_FLAGS := -O2 -g -ffreestanding -fbuiltin -fno-pic -fno-pie -mno-red-zone -mcmodel=small -fno-stack-protector \
  -fcf-protection=none -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables \
  -D_POSIX_THREADS=1 -D_POSIX_READER_WRITER_LOCKS=1 -DFD_SETSIZE=256 \
  -ffunction-sections -fdata-sections -fno-common -ffile-prefix-map=$(CURDIR)=. \
  -falign-loops=1 $(if $(findstring clang,$(CC)),,-falign-jumps=1) \
  -U__linux__ -Ulinux -U__gnu_linux__ -U__unix__ -Uunix
TARGET_INCLUDES = $(INCLUDES) -Iarch/x86_64/include -Ilibc/include -nostdinc -isystem $(NEWLIB)/include -isystem $(CC_INCLUDE)
CFLAGS_ALL = -std=gnu11 $(WARNINGS) $(TARGET_FLAGS) $(DEFINES) $(TARGET_INCLUDES) -MMD -MP $(CFLAGS)
# Functions of lwIP that net/lwip_segments.c, lwip_loan.c, lwip_recovery.c, lwip_timers.c, lwip_stack.c and lwip_path_mtu.c
# step in front of.
WRAPPED := tcp_write tcp_output tcp_rexmit_rto_commit tcp_split_unsent_seg ip4_frag ip6_frag memp_free \
  tcp_rexmit_fast tcp_poll nd6_input netif_loop_output
LINK := ld -static -nostdlib -z noexecstack -z max-page-size=4096 --gc-sections --build-id=none --fatal-warnings \
  $(WRAPPED:%=--wrap=%)

# --- Set-up: packages and third-party sources --------------------------------------------------------------------------

PACKAGE_GROUPS := build sqlite clang disk run iso test coverage bench gdb format
BUILD_PACKAGES := packages-build $(if $(findstring clang,$(CC)),packages-clang)
.PHONY: $(PACKAGE_GROUPS:%=packages-%) deps FORCE
$(PACKAGE_GROUPS:%=packages-%): packages-%:
	@tools/install-packages $*

NEWLIB_READY := $(BUILD)/newlib/ready
LWIP_READY := $(BUILD)/src/lwip.ready
FATFS_READY := $(BUILD)/src/fatfs.ready
LITTLEFS_READY := $(BUILD)/src/littlefs.ready
SQLITE_READY := $(BUILD)/src/sqlite.ready
MICROSOCKS_READY := $(BUILD)/src/microsocks.ready
THIRD_PARTY := $(NEWLIB_READY) $(LWIP_READY) $(FATFS_READY) $(LITTLEFS_READY)

deps: $(THIRD_PARTY) | packages-build packages-disk packages-run

# $(call keep,TEXT): rewrites the target only when TEXT has changed, so that what depends on it is made anew then.
keep = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' >$@.new; \
  if cmp -s $@.new $@; then rm -f $@.new; else mv $@.new $@; fi

$(BUILD)/src/newlib.from: private SOURCE := $(NEWLIB_SRC)
$(BUILD)/src/lwip.from: private SOURCE := $(LWIP_SRC)
$(BUILD)/src/fatfs.from: private SOURCE := $(FATFS_SRC)
$(BUILD)/src/littlefs.from: private SOURCE := $(LITTLEFS_SRC)
$(BUILD)/src/sqlite.from: private SOURCE := $(SQLITE_SRC)
$(BUILD)/src/microsocks.from: private SOURCE := $(MICROSOCKS_SRC)
$(BUILD)/src/newlib.from $(BUILD)/src/lwip.from $(BUILD)/src/fatfs.from $(BUILD)/src/littlefs.from \
  $(BUILD)/src/sqlite.from $(BUILD)/src/microsocks.from: FORCE
	$(call keep,$(or $(SOURCE),pinned))

# A mark without what it stands for (the cache was emptied, say) counts for nothing.
$(NEWLIB_READY): $(if $(wildcard $(NEWLIB)/lib/libc.a),,FORCE)
$(LWIP_READY): $(if $(wildcard $(LWIP)/src/core/init.c),,FORCE)
$(FATFS_READY): $(if $(wildcard $(FATFS)/ff.c),,FORCE)
$(LITTLEFS_READY): $(if $(wildcard $(LITTLEFS)/lfs2.c),,FORCE)
$(SQLITE_READY): $(if $(wildcard $(SQLITE)/sqlite3.c),,FORCE)

$(NEWLIB_READY): $(BUILD)/src/newlib.from third_party/manifest.tsv tools/build-newlib | packages-build
	@CC=gcc tools/build-newlib $(BUILD) $(NEWLIB_SRC)
	@touch $@

$(LWIP_READY): $(BUILD)/src/lwip.from third_party/manifest.tsv tools/unpack-source | packages-build
	@tools/unpack-source lwip $(LWIP) $(LWIP_SRC)
	@touch $@

$(FATFS_READY): $(BUILD)/src/fatfs.from third_party/manifest.tsv tools/unpack-source | packages-build
	@tools/unpack-source fatfs $(FATFS) $(FATFS_SRC)
	@touch $@

$(LITTLEFS_READY): $(BUILD)/src/littlefs.from third_party/manifest.tsv tools/unpack-source | packages-build
	@tools/unpack-source littlefs $(LITTLEFS) $(LITTLEFS_SRC)
	@touch $@

$(SQLITE_READY): $(BUILD)/src/sqlite.from third_party/manifest.tsv tools/unpack-source | packages-build packages-sqlite
	@tools/unpack-source sqlite $(SQLITE) $(SQLITE_SRC)
	@touch $@

$(MICROSOCKS_READY): $(if $(wildcard $(MICROSOCKS)/sockssrv.c),,FORCE)
$(MICROSOCKS_READY): $(BUILD)/src/microsocks.from third_party/manifest.tsv tools/unpack-source | packages-build
	@tools/unpack-source microsocks $(MICROSOCKS) $(MICROSOCKS_SRC)
	@touch $@

$(MICROSOCKS)/%.c: | $(MICROSOCKS_READY) ;
$(LWIP)/%.c: | $(LWIP_READY) ;
$(FATFS)/%.c: | $(FATFS_READY) ;
$(LITTLEFS)/%.c: | $(LITTLEFS_READY) ;
$(SQLITE)/%.c: | $(SQLITE_READY) ;

# --- Objects -----------------------------------------------------------------------------------------------------------

READY := $(OBJ)/flags $(THIRD_PARTY)

$(OBJ)/flags: FORCE | $(BUILD_PACKAGES)
	$(call keep,$(CC) $(shell $(CC) --version 2>/dev/null | head -n 1) $(CFLAGS_ALL) $(LINK) $(SMALL): $(SMALL_C) $(SMALL_LWIP) $(LWIP_PATH))

# Images have one name whatever the compiler, so they are linked anew when it was another one.
$(BUILD)/compiler: FORCE
	$(call keep,$(CC))

$(INTEGER_C:%.c=$(OBJ)/%.o): private MODE := -mgeneral-regs-only
# The compiler must not turn the body of memcpy() into a call of memcpy().
$(OBJ)/libc/string.o: private MODE := -mgeneral-regs-only -fno-builtin \
  $(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns)

# What is far from the data path is compiled for size: start-up, reports, file systems, lwIP's side protocols.
SMALL_C := $(filter arch/x86_64/acpi.c arch/x86_64/pci% arch/x86_64/mptable% arch/x86_64/paging% arch/x86_64/power% arch/x86_64/uart% \
  arch/x86_64/crash% arch/x86_64/ioapic% arch/x86_64/kvmclock% arch/x86_64/mem.c arch/x86_64/rtc% \
  boot/bootinfo% boot/cmdline% boot/console% boot/log% boot/format% boot/main% boot/monitor% boot/pci_caps% boot/crash% \
  virtio/virtio.c $(addprefix virtio/virtio_,config% features% report% mmio% pci_legacy% pci_interrupts% watch%) rng/% \
  blk/block_devices% blk/ide% blk/partition% blk/report% blk/scsi_r% blk/scsi_s% blk/virtio_blk_config% blk/virtio_blk_zones% blk/zones% \
  net/net_config% net/lwip_addresses% net/lwip_groups% net/lwip_mdns% net/lwip_path_mtu% net/lwip_stack% net/lwip_time.c net/%_setup.c net/%_control.c \
  fs/% libc/% services/% vsock/% input/% console/% balloon/%,$(filter-out libc/string.c,$(KERNEL_C)))
# GCC would clear and copy byte by byte for size, which emulators do indeed.
SMALL := $(if $(filter -O%,$(CFLAGS)),,-Os $(if $(findstring clang,$(CC)),,-mstringop-strategy=libcall))
SMALL_LWIP := $(filter apps/% $(addprefix core/,dns netif init stats ip tcp) $(addprefix core/ipv4/,dhcp igmp autoip acd ip4_frag) \
  $(addprefix core/ipv6/,dhcp6 mld6 nd6 icmp6 ip6_frag ip6_addr inet6),$(LWIP_C))
$(SMALL_C:%.c=$(OBJ)/%.o) $(SMALL_LWIP:%=$(OBJ)/lwip/%.o) $(FATFS_OBJS) $(LITTLEFS_OBJS): private SIZED = $(SMALL)

compile = $(call note,CC,$<)mkdir -p $(@D) && $(CC) $(CFLAGS_ALL) $(SIZED) $(1) -c $< -o $@

$(KERNEL_C:%.c=$(OBJ)/%.o) $(START_C:%.c=$(OBJ)/%.o): $(OBJ)/%.o: %.c $(READY)
	$(call compile,-Werror $(MODE))

$(KERNEL_S:%.S=$(OBJ)/%.S.o): $(OBJ)/%.S.o: %.S $(READY)
	$(call compile,-Werror)

# lwIP's MQTT client gets its packets by way of services/mqtt_guard.c.
$(OBJ)/lwip/apps/mqtt/mqtt.o: private MODE := -Dtcp_recv=mqtt_guard_recv
# And its TFTP server packets and timers by way of services/tftp.c.
$(OBJ)/lwip/apps/tftp/tftp.o: private MODE := -Dudp_recv=tftp_guard_recv -Dsys_timeout=tftp_guard_timeout

# lwIP checks limits against the options we chose, and clang remarks on those that can never be reached.
LWIP_WARNINGS := -Wno-tautological-constant-out-of-range-compare -Wno-unused-parameter
$(filter-out %/data_path.o,$(LWIP_OBJS)): $(OBJ)/lwip/%.o: $(LWIP)/src/%.c $(READY)
	$(call compile,$(LWIP_WARNINGS) $(MODE))

$(OBJ)/lwip/data_path.c: $(OBJ)/flags
	@mkdir -p $(@D) && printf '#include "%s.c"\n' $(LWIP_PATH) >$@
$(OBJ)/lwip/data_path.o: $(OBJ)/lwip/data_path.c $(LWIP_PATH:%=$(LWIP)/src/%.c) $(READY)
	$(call compile,$(LWIP_WARNINGS) -I$(LWIP)/src -O3 -fno-tree-vectorize)

$(FATFS_OBJS): $(OBJ)/fatfs/%.o: $(FATFS)/%.c $(READY)
	$(call compile,)

$(LITTLEFS_OBJS): $(OBJ)/littlefs/%.o: $(LITTLEFS)/%.c fs/littlefs_port.h $(READY)
	$(call compile,$(LITTLEFS_FLAGS))

$(OBJ)/sqlite/sqlite3.o: $(SQLITE)/sqlite3.c $(SQLITE_READY) $(READY)
	$(call compile,$(SQLITE_FLAGS))

$(OBJ)/sqlite/sqlite_vfs.o: fs/sqlite/sqlite_vfs.c $(SQLITE_READY) $(READY)
	$(call compile,-Werror -I$(SQLITE))

# Third-party code lies in archives, so that a part nobody uses is not even looked at by the linker.
$(OBJ)/liblwip.a: $(LWIP_OBJS)
$(OBJ)/libfatfs.a: $(FATFS_OBJS)
$(OBJ)/liblittlefs.a: $(LITTLEFS_OBJS)
$(OBJ)/libsqlite.a: $(OBJ)/sqlite/sqlite3.o $(OBJ)/sqlite/sqlite_vfs.o
$(OBJ)/libstart.a: $(START_C:%.c=$(OBJ)/%.o)
$(OBJ)/liblwip.a $(OBJ)/libfatfs.a $(OBJ)/liblittlefs.a $(OBJ)/libsqlite.a $(OBJ)/libstart.a:
	$(call note,AR,$@)rm -f $@ && ar rcsD $@ $^

# --- Images: the kernel with one application ---------------------------------------------------------------------------

# The table of function names for backtraces is made from a first link, and lies behind everything whose address it holds.
LINK_INPUTS := $(KERNEL_OBJS) $(OBJ)/libstart.a $(OBJ)/liblwip.a $(OBJ)/libfatfs.a $(OBJ)/liblittlefs.a $(BUILD)/compiler
link = $(LINK) -T linker.ld -o $(1) $(filter %.o,$^) $(filter %.a,$^) \
  --start-group $(NEWLIB)/lib/libc.a $(NEWLIB)/lib/libm.a $(GCC_LIB) --end-group

$(OBJ)/no-symbols.S: tools/ksyms $(OBJ)/flags
	@mkdir -p $(@D) && tools/ksyms </dev/null >$@

%/no-symbols.o: %/no-symbols.S
	@$(CC) -c $< -o $@

%/symbols.o: %/symbols.S
	@$(CC) -c $< -o $@

# What an application takes beside the kernel: USES_name here, or USES= for the one that APP= names.
USES_store := sqlite
uses = $(USES_$(1)) $(if $(filter $(1),$(NAME)),$(USES))
sqlite_NEEDS := $(SQLITE_READY)
sqlite_FLAGS := -I$(SQLITE)
sqlite_LIBRARY := $(OBJ)/libsqlite.a

# $(call application,NAME,SOURCES): the rules for $(BUILD)/NAME.elf.
define application
$(1)_DIR := $(OBJ)/app/$(1)
$(1)_OBJS := $(foreach source,$(2),$(OBJ)/app/$(1)/$(notdir $(source:.c=.o)))
APP_OBJS += $$($(1)_OBJS)
$(foreach source,$(2),
$(OBJ)/app/$(1)/$(notdir $(source:.c=.o)): $(source) $$(READY) $(foreach lib,$(call uses,$(1)),$($(lib)_NEEDS))
	$$(call compile,$(if $(filter $(BUILD)/%,$(source)),-w,-Werror) -I$(dir $(source)) $(foreach lib,$(call uses,$(1)),$($(lib)_FLAGS)))
)
$(1)_LIBRARIES := $(foreach lib,$(call uses,$(1)),$($(lib)_LIBRARY))
$$($(1)_DIR)/first.elf: $$(LINK_INPUTS) $$($(1)_LIBRARIES) $$($(1)_OBJS) $(OBJ)/no-symbols.o linker.ld
	$$(Q)$$(call link,$$@)
$$($(1)_DIR)/symbols.S: $$($(1)_DIR)/first.elf tools/ksyms
	$$(Q)nm $$< | tools/ksyms >$$@
$(BUILD)/$(1).debug.elf: $$(LINK_INPUTS) $$($(1)_LIBRARIES) $$($(1)_OBJS) $$($(1)_DIR)/symbols.o linker.ld
	$$(call note,LD,$$@)$$(call link,$$@) -Map $(BUILD)/$(1).map
	$$(Q)nm $$@ | tools/ksyms | cmp -s - $$($(1)_DIR)/symbols.S || { \
	  echo "$$@: the symbol table moved the code it describes; .ksyms must lie behind it (linker.ld)" >&2; rm -f $$@; exit 1; }
$(BUILD)/$(1).elf: $(BUILD)/$(1).debug.elf
	$$(Q)strip --strip-all -o $$@ $$<
endef

app_sources = $(if $(wildcard $(1)/.),$(sort $(wildcard $(1)/*.c)),$(1))
app_name = $(basename $(notdir $(1)))

ifeq ($(wildcard $(call app_sources,$(APP_PATH))),)
.PHONY: $(KERNEL) $(BUILD)/$(NAME).debug.elf
$(KERNEL) $(BUILD)/$(NAME).debug.elf:
	@echo "APP=$(APP): there is no such file, or no .c file in that folder" >&2; exit 1
else
$(eval $(call application,$(NAME),$(call app_sources,$(APP_PATH))))
endif

# Kernels that are tested or measured beside the web server: each file or folder is one application.
TEST_APP_PATHS := $(filter-out apps/httpd apps/www,$(wildcard apps/*)) $(wildcard tests/qemu/apps/*)
TEST_APPS := $(filter-out $(NAME),$(sort $(foreach app,$(TEST_APP_PATHS),$(call app_name,$(app)))))
# Somebody else's program, as it is.
PORTED := microsocks
$(eval $(call application,microsocks,$(addprefix $(MICROSOCKS)/,sblist.c sblist_delete.c server.c sockssrv.c)))
BENCH_APPS := $(filter-out $(NAME),$(sort $(foreach app,$(wildcard tests/bench/apps/*),$(call app_name,$(app)))))
$(foreach path,$(TEST_APP_PATHS),$(if $(filter $(call app_name,$(path)),$(TEST_APPS)),\
  $(eval $(call application,$(call app_name,$(path)),$(call app_sources,$(path))))))
$(foreach app,$(BENCH_APPS),$(eval $(call application,$(app),$(call app_sources,$(firstword \
  $(wildcard tests/bench/apps/$(app).c tests/bench/apps/$(app)))))))
ifneq ($(NAME),ferrule)
$(eval $(call application,ferrule,$(call app_sources,apps/httpd)))
endif

.PHONY: dis size
dis: $(BUILD)/$(NAME).dis
$(BUILD)/%.dis: $(BUILD)/%.debug.elf
	$(Q)objdump -d --no-show-raw-insn $< >$@

size: $(KERNEL)
	@size -A -d $(BUILD)/$(NAME).debug.elf | grep -v -e '\.debug' -e '^\.comment'
	@size $(KERNEL)
	@stat -c '%n: %s bytes' $(KERNEL)

# --- Disk, boot image, run ---------------------------------------------------------------------------------------------

.PHONY: disk iso run gdb
disk: $(BUILD)/disk.img

$(BUILD)/disk.list: FORCE
	@[ -d '$(WWW)' ] || { echo "WWW=$(WWW): there is no such folder" >&2; exit 1; }
	$(call keep,$(WWW) $(DISK_SIZE) $(shell find -L '$(WWW)' -printf '%P %y %s %T@\n' 2>/dev/null | LC_ALL=C sort | sha256sum))

$(BUILD)/disk.img: $(BUILD)/disk.list tools/mkdisk | packages-disk
	$(call note,DISK,$@ from $(WWW))tools/mkdisk '$(WWW)' $@ $(DISK_SIZE)

iso: $(BUILD)/$(NAME).iso

$(BUILD)/iso.words: FORCE
	$(call keep,$(ISO_CMDLINE))

$(BUILD)/%.iso: $(BUILD)/%.elf $(BUILD)/iso.words tools/mkiso | packages-iso
	$(call note,ISO,$@)tools/mkiso $< $@ '$(subst ','\'',$(ISO_CMDLINE))'

run gdb: export MACHINE := $(MACHINE)
run gdb: export ACCEL := $(ACCEL)
run gdb: export CPU := $(CPU)
run gdb: export MEM := $(MEM)
run gdb: export PORT := $(PORT)
run gdb: export CMDLINE := $(CMDLINE)
run gdb: export QEMU_ARGS := $(QEMU_ARGS)

run: $(KERNEL) $(BUILD)/disk.img | packages-run
	@tools/run $(KERNEL) $(BUILD)/disk.img

gdb: $(KERNEL) $(BUILD)/disk.img | packages-run packages-gdb
	@tools/run --gdb $(BUILD)/$(NAME).debug.elf $(KERNEL) $(BUILD)/disk.img

# --- Tests and measurements --------------------------------------------------------------------------------------------

UNIT_C := $(sort $(wildcard tests/unit/test_*.c))
UNIT := $(UNIT_C:tests/%.c=$(HOST)/%)
# The same kind of program, with other projects' programs as the device.
NATIVE_C := $(sort $(wildcard tests/native/test_*.c))
NATIVE := $(NATIVE_C:tests/%.c=$(HOST)/%)
HOST_FLAGS := -std=gnu11 -O1 -g $(WARNINGS) -fno-omit-frame-pointer -fsanitize=address,undefined \
  -fno-sanitize-recover=all -D_GNU_SOURCE $(DEFINES) -Ihosted/include -Itests/unit $(INCLUDES) -MMD -MP

$(HOST)/flags: FORCE | $(BUILD_PACKAGES)
	$(call keep,$(CC) $(HOST_FLAGS))

HOST_READY := $(HOST)/flags $(LWIP_READY) $(FATFS_READY) $(LITTLEFS_READY)
host_compile = $(call note,HOSTCC,$<)mkdir -p $(@D) && $(CC) $(HOST_FLAGS) $(1) -c $< -o $@

$(HOST)/obj/$(LITTLEFS)/%.o: private HOST_MODE := $(LITTLEFS_FLAGS)
$(HOST)/obj/$(BUILD)/%.o: $(BUILD)/%.c $(HOST_READY)
	$(call host_compile,$(HOST_MODE))

$(HOST)/obj/%.o: %.c $(HOST_READY) | packages-test
	$(call host_compile,-Werror)

# Such a program is linked from the sources its first lines name: "// sources: virtio/virtqueue.c ...", where fatfs/,
# littlefs/ and lwip/ stand for the sources of those. $(call unit,KIND/NAME) is without folder and ending.
host_sources = $(patsubst lwip/%,$(LWIP)/src/%,$(patsubst fatfs/%,$(FATFS)/%, \
  $(patsubst littlefs/%,$(LITTLEFS)/%,$(shell sed -n '1,20s,^// sources:,,p' $(1)))))
define unit
$(notdir $(1))_C := tests/$(1).c $(call host_sources,tests/$(1).c)
$(HOST)/$(1): $$($(notdir $(1))_C:%.c=$(HOST)/obj/%.o)
	$$(call note,LINK,$$@)mkdir -p $$(@D) && $(CC) -fsanitize=address,undefined $$(filter %.o,$$^) -lcmocka -lm -o $$@
endef
UNIT_NAMES := $(UNIT_C:tests/unit/%.c=%)
$(foreach file,$(UNIT_C) $(NATIVE_C),$(eval $(call unit,$(file:tests/%.c=%))))

# A look into littlefs images from the host.
LITTLEFS_IMAGE_OBJS := $(patsubst %.c,$(HOST)/obj/%.o,tests/tools/littlefs_image.c $(LITTLEFS)/lfs2.c $(LITTLEFS)/lfs2_util.c)
$(HOST)/littlefs-image: $(LITTLEFS_IMAGE_OBJS)
	$(call note,LINK,$@)$(CC) -fsanitize=address,undefined $^ -o $@

include tests/checks.mk

.PHONY: test test-build test-unit test-native test-qemu test-kernels conformance bench bench-net bench-blk
test-kernels: $(BUILD)/ferrule.elf $(TEST_APPS:%=$(BUILD)/%.elf) $(PORTED:%=$(BUILD)/%.elf)
TEST_IMAGES := $(BUILD)/disk.img $(BUILD)/ferrule.iso $(HOST)/littlefs-image

TEST_PROGRAMS := $(UNIT) $(NATIVE) $(HOST)/ring_torture $(CHECKS)

# Everything that `make test` runs, built and not run: what a change of an interface may have broken.
test-build: $(TEST_PROGRAMS) test-kernels $(TEST_IMAGES) | packages-run packages-test

test: test-build
	@T='$(T)' $(MUTANTS) tools/run-tests $(BUILD) unit native mutants $(CHECK_WORDS) qemu

test-unit: $(UNIT) | packages-test
	@T='$(T)' tools/run-tests $(BUILD) unit

test-native: $(NATIVE) | packages-run packages-test
	@T='$(T)' tools/run-tests $(BUILD) native

test-qemu: test-kernels $(TEST_IMAGES) | packages-run packages-test
	@T='$(T)' tools/run-tests $(BUILD) qemu

# Random traffic over every kind of ring, fast: no sanitizers. N transfers; SEED as printed repeats a run.
TORTURE_C := tests/torture/ring_torture.c
TORTURE_FLAGS := -std=gnu11 -O2 -g $(WARNINGS) -Werror -D_GNU_SOURCE -Ihosted/include $(INCLUDES) -MMD -MP
TORTURE_OBJS := $(patsubst %.c,$(HOST)/torture/%.o,$(TORTURE_C) $(shell sed -n '1,10s,^// sources:,,p' $(TORTURE_C)))

$(TORTURE_OBJS): $(HOST)/torture/%.o: %.c $(HOST)/flags
	$(call note,HOSTCC,$<)mkdir -p $(@D) && $(CC) $(TORTURE_FLAGS) -c $< -o $@

$(HOST)/ring_torture: $(TORTURE_OBJS)
	$(call note,LINK,$@)$(CC) $^ -o $@

.PHONY: crash-check
crash-check: $(HOST)/unit/test_crash $(HOST)/unit/test_crash_fs
	@CRASH_RUNS='$(or $(N),1000)' $<
	@CRASH_RUNS='$(or $(N),1000)' $(HOST)/unit/test_crash_fs

.PHONY: ring-torture
ring-torture: $(HOST)/ring_torture
	@$(HOST)/ring_torture '$(N)' '$(SEED)'

# Do the tests notice bugs? A table of small ones, each put into a copy of its source.
.PHONY: mutants
MUTANTS = CC='$(CC)' HOST_FLAGS='$(subst ','\'',$(HOST_FLAGS))' TORTURE_FLAGS='$(subst ','\'',$(TORTURE_FLAGS))'
mutants: $(UNIT) $(HOST)/ring_torture | packages-test
	@$(MUTANTS) tools/mutants $(BUILD) --only '$(T)'

# Resets and odd accesses at random moments, on QEMU's own device models: the objects of tests/native/test_qtest.c, and
# another main().
QTEST_TORTURE_OBJS := $(patsubst %.c,$(HOST)/obj/%.o,tests/native/qtest_torture_main.c \
  $(shell sed -n '1,20s,^// sources:,,p' tests/native/test_qtest.c))

$(HOST)/qtest_torture: $(QTEST_TORTURE_OBJS)
	$(call note,LINK,$@)$(CC) -fsanitize=address,undefined $^ -o $@

.PHONY: qtest-torture
qtest-torture: $(HOST)/qtest_torture | packages-run
	@$(HOST)/qtest_torture '$(N)' '$(SEED)'

# The drivers beside other projects' on the same back ends: no sanitizers, and no book of mappings. libblkio is used as
# its Debian packages have it, unpacked beside the objects.
NATIVE_BENCH_DIR := $(HOST)/bench
NATIVE_BENCH := $(addprefix $(NATIVE_BENCH_DIR)/,net_bench blk_bench)
NATIVE_BENCH_FLAGS := -std=gnu11 -O2 -g $(WARNINGS) -Werror -D_GNU_SOURCE -Itests/bench/native/include $(INCLUDES) -MMD -MP
BLKIO := $(HOST)/libblkio
BLKIO_LIB := $(abspath $(BLKIO))/usr/lib/x86_64-linux-gnu

$(NATIVE_BENCH_DIR)/obj/%.o: %.c $(HOST)/flags
	$(call note,HOSTCC,$<)mkdir -p $(@D) && $(CC) $(NATIVE_BENCH_FLAGS) -c $< -o $@

define native_bench
$(NATIVE_BENCH_DIR)/$(1): $(patsubst %.c,$(NATIVE_BENCH_DIR)/obj/%.o,tests/bench/native/$(1).c \
  $(shell sed -n '1,10s,^// sources:,,p' tests/bench/native/$(1).c))
	$$(call note,LINK,$$@)$(CC) $$^ -o $$@
endef
$(foreach name,$(notdir $(NATIVE_BENCH)),$(eval $(call native_bench,$(name))))

$(BLKIO).ready: third_party/manifest.tsv tools/fetch-source | packages-build
	$(Q)rm -rf $(BLKIO) && mkdir -p $(BLKIO) && files=$$(tools/fetch-source libblkio libblkio-dev) && \
	  for file in $$files; do dpkg-deb -x $$file $(BLKIO) || exit 1; done
	@touch $@

$(NATIVE_BENCH_DIR)/blkio_bench: tests/bench/native/blkio_bench.c tests/bench/native/bench_time.h $(BLKIO).ready
	$(call note,LINK,$@)mkdir -p $(@D) && $(CC) $(NATIVE_BENCH_FLAGS) -I$(BLKIO)/usr/include $< -o $@ \
	  -L$(BLKIO_LIB) -lblkio -Wl,-rpath,$(BLKIO_LIB)

.PHONY: bench-native
bench-native: $(NATIVE_BENCH) $(NATIVE_BENCH_DIR)/blkio_bench | packages-bench
	@tests/bench/native/run $(NATIVE_BENCH_DIR) $(BENCH_ARGS)

# Disturbs the networks of guests with clients at work; bulk transfers without end.
.PHONY: net-torture bulk-soak
net-torture: $(BUILD)/ferrule.elf | packages-run packages-test packages-disk
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/torture/net-torture '$(TIME)' '$(SEED)' '$(T)'

bulk-soak: $(BUILD)/bulk.elf | packages-run packages-test
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/torture/bulk-soak '$(or $(N),1000)' '$(SEED)'

# Kills guests that store rows, N times, and looks for what they had acknowledged. SEED as printed repeats the choices.
.PHONY: power-cut
power-cut: $(BUILD)/store.elf $(HOST)/littlefs-image | packages-run packages-test
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/power_cut/run '$(N)' '$(SEED)'

# Which requirements of the specification the tests cover; fails on a claim whose test did not pass.
conformance: test
	@tools/conformance $(BUILD) $(CONFORMANCE_ARGS)

# The same loads on emulated and paravirtual devices, counted and timed.
.PHONY: bench-paravirt
bench-paravirt: $(BUILD)/ferrule.elf | packages-run packages-disk packages-bench
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/bench/paravirt $(BENCH_ARGS)

bench: $(BUILD)/ferrule.elf $(BENCH_APPS:%=$(BUILD)/%.elf) $(BUILD)/disk.img | packages-run packages-bench
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/bench/run $(BENCH_ARGS)

bench-net: $(BUILD)/ferrule.elf $(BUILD)/disk.img | packages-run packages-bench
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/bench/run-net $(BENCH_ARGS)

$(HOST)/fio: tools/build-fio third_party/manifest.tsv | packages-build
	$(Q)mkdir -p $(@D) && tools/build-fio '$(abspath $(BUILD))' '$(abspath $@)'

bench-blk: $(BUILD)/ferrule.elf $(HOST)/fio | packages-run packages-bench packages-disk
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/bench/run-blk --fio $(HOST)/fio $(BENCH_ARGS)

# A newer emulator beside the distribution's, for what that does not offer: prints what to give as QEMU=.
.PHONY: qemu10
qemu10: | packages-run
	@tools/fetch-qemu

# Every combination of machine, transport, ring, features, interrupts and loader that can be, in QEMU. tests/matrix has them.
.PHONY: matrix
matrix: $(BUILD)/ferrule.elf $(BUILD)/ferrule.iso | packages-run packages-test
	@FERRULE_BUILD='$(abspath $(BUILD))' tests/matrix/run $(MATRIX_ARGS)

# --- Housekeeping ------------------------------------------------------------------------------------------------------

OUR_C = $(shell find boot arch virtio net blk console rng balloon input vsock fs libc services socket hosted include apps tests -name '*.[ch]' 2>/dev/null)

.PHONY: format format-check clean distclean help
format: | packages-format
	$(Q)clang-format -i $(OUR_C)

format-check: | packages-format
	$(Q)clang-format --dry-run -Werror $(OUR_C)

clean:
	rm -rf $(BUILD)

distclean: clean
	rm -rf '$(FERRULE_CACHE)'/dl '$(FERRULE_CACHE)'/bench '$(FERRULE_CACHE)'/newlib-* \
	  '$(FERRULE_CACHE)'/qemu-*
	-[ ! -d '$(FERRULE_CACHE)' ] || rmdir --ignore-fail-on-non-empty '$(FERRULE_CACHE)'

help:
	@sed -n '/^##/s/^## \{0,1\}//p' Makefile

-include $(KERNEL_OBJS:.o=.d) $(LWIP_OBJS:.o=.d) $(FATFS_OBJS:.o=.d) $(LITTLEFS_OBJS:.o=.d) $(APP_OBJS:.o=.d)
-include $(shell find $(HOST) -name '*.d' 2>/dev/null)

## Targets
##   make               build the kernel with the web application: build/ferrule.elf
##   make run           set everything up, build, and boot it in QEMU (Ctrl-A X ends it)
##   make test          all tests; test-unit, test-native (on other projects' devices) and test-qemu for one kind, T=pattern for some
##   make test-build    builds all that `make test` runs, and runs nothing
##   make conformance   tests, then the requirements of VIRTIO 1.4 that they cover (CONFORMANCE_ARGS=--missing)
##   make sanitize      the unit tests under ThreadSanitizer, MemorySanitizer and Valgrind
##   make fault-points  every register access, allocation, interrupt and completion of every driver goes wrong once
##   make bounded-work  the same, the fuzzer's inputs and the unit tests in a build that counts what each entry point does
##                      (N=every nth point, for both)
##   make prove         models of waking up, checked in all their states, and proofs about the sources (T=part of a name)
##   make fuzz          devices, disks and frames made of a fuzzer's input (TIME=seconds a target, T="targets",
##                      WORK=1 counts as well)
##   make fuzz-coverage  which lines and branches the fuzzer's inputs reach (T="targets")
##   make APP=my.c      build/my.elf: the kernel with your application (a file or a folder); also with run, gdb, size
##   make gdb           boot it under gdb, stopped at app_main
##   make iso           build/ferrule.iso, which boots by BIOS and UEFI (ISO_CMDLINE="words")
##   make mutants       puts bugs into copies of the drivers; the tests must catch each (T=part of a name)
##   make crash-check   what a crash may leave on a disk, looked at after every step of random writes (N=runs)
##   make ring-torture  random traffic over every kind of ring (N=transfers, SEED=number)
##   make qtest-torture  resets at random moments, on QEMU's own devices (N=rounds, SEED=number)

##   make net-torture   loss, floods, flapping links and the like, with clients at work (TIME=seconds, SEED=number, T=name)
##   make bulk-soak     bulk transfers both ways, one and eight at once, each byte compared (N=transfers, SEED=number)
##   make power-cut     cut the power of a guest that stores rows (N=cuts, SEED=number)
##   make matrix        every combination of machine, transport, ring, features, interrupts, loader (MATRIX_ARGS=--help)
##   make qemu10        QEMU 10 beside the distribution's, in the cache; prints what to give as QEMU=
##   make bench         measure (takes minutes)
##   make bench-net     measure the network beside a Linux guest's with nginx and iperf3 (BENCH_ARGS=--help)
##   make bench-blk     measure disks beside a Linux guest's with fio (BENCH_ARGS=--help)
##   make bench-paravirt  count and time IDE disks and e1000 cards beside virtio's (BENCH_ARGS=--help)
##   make bench-native  measure the drivers beside DPDK's and libblkio's on the same back ends (BENCH_ARGS=--help)
##   make size          sections and sizes;  make dis  disassembly in build/ferrule.dis
##   make deps          only the set-up: packages, C library, TCP/IP stack, file system
##   make format        format the code;  make format-check  say what is not
##   make clean         remove build/;  make distclean  the cache of fetched sources too
##
## Variables
##   USES=sqlite        what the application of APP= takes beside the kernel
##   WWW=dir            what the disk holds and the web application serves (apps/www)
##   PORT=n             port on 127.0.0.1 that reaches the guest's port 80 (8080, or the next free one)
##   CMDLINE="words"    more kernel command line     QEMU_ARGS="args"   more for QEMU
##   MACHINE=q35|pc     ACCEL=tcg|kvm    CPU=max    MEM=128M    QEMU=qemu-system-x86_64
##   CC=gcc|clang       CFLAGS="flags"   V=1 shows commands     BUILD=dir   DISK_SIZE=64M
##   NEWLIB_SRC= LWIP_SRC= FATFS_SRC= LITTLEFS_SRC= SQLITE_SRC= MICROSOCKS_SRC=   a folder or tarball to use instead of fetching
##   FERRULE_CACHE=dir  where fetched sources and the built C library are kept
