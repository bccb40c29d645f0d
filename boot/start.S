/*
 * start.S - from the boot loader's 32-bit entry to C in long mode, the same way for multiboot1,
 * multiboot2 and PVH.
 *
 * Owns the three boot headers, the first page tables (4 GiB, one to one) and the main stack. Knows
 * nothing of what the boot information holds: its kind and address go to kernel_main() as they
 * came. Specifications: Multiboot 0.6.96 section 3, Multiboot2 section 3, x86/HVM direct boot ABI
 * (PVH). Read boot/main.c next.
 */

#define MULTIBOOT1_MAGIC 0x1badb002
/*
 * Modules on pages, memory map wanted, and the address fields are valid: they let a loader take an
 * ELF64 as a flat image.
 */
#define MULTIBOOT1_FLAGS 0x00010003
#define MULTIBOOT2_MAGIC 0xe85250d6
#define PVH_START_MAGIC 0x336ec578
#define PVH_NOTE_PHYS32_ENTRY 18

#define CR0_PE 0x00000001
#define CR0_MP 0x00000002
#define CR0_EM 0x00000004
#define CR0_TS 0x00000008
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_PG 0x80000000
#define CR4_PAE 0x020
#define CR4_OSFXSR 0x200
#define CR4_OSXMMEXCPT 0x400
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define EFER_NXE 0x800
#define CPUID_LONG_MODE (1 << 29)
#define CPUID_NX (1 << 20)

#define MEMORY_PROBE 0x5aa51234

#define PTE_TABLE 0x003
#define PTE_HUGE 0x083

    .section .boot, "ax"

    .balign 8
multiboot1_header:
    .long MULTIBOOT1_MAGIC
    .long MULTIBOOT1_FLAGS
    .long -(MULTIBOOT1_MAGIC + MULTIBOOT1_FLAGS)
    .long multiboot1_header
    .long kernel_start
    .long kernel_load_end
    .long kernel_end
    .long start_multiboot

    .balign 8
multiboot2_header:
    .long MULTIBOOT2_MAGIC
    .long 0
    .long multiboot2_header_end - multiboot2_header
    .long -(MULTIBOOT2_MAGIC + 0 + (multiboot2_header_end - multiboot2_header))
    .short 0, 0
    .long 8
multiboot2_header_end:

    .code32
    .globl start_multiboot
start_multiboot:
    movl %eax, %esi
    jmp start32

start_pvh:
    movl $PVH_START_MAGIC, %esi

/*
 * %esi: which protocol, %ebx: address of its information. Neither is touched until both are handed
 * to C.
 */
start32:
    cli
    cld
    /* Where there is no memory nothing can be stored. */
    movl $kernel_end - 4, %edi
    movl (%edi), %eax
    movl $MEMORY_PROBE, (%edi)
    cmpl $MEMORY_PROBE, (%edi)
    movl %eax, (%edi)
    jne no_memory
    /* Not every loader clears .bss, and the page tables below are part of it. */
    movl $kernel_bss_start, %edi
    movl $kernel_bss_end, %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    xorl %eax, %eax
    rep stosl
    movl $main_stack_top, %esp

    rdtsc
    movl %eax, start_tsc
    movl %edx, start_tsc + 4

    pushl %ebx
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    popl %ebx
    testl $CPUID_LONG_MODE, %edx
    jz no_long_mode
    movl %edx, %ebp

    movl $early_pdpt + PTE_TABLE, early_pml4
    movl $early_pdpt, %edi
    movl $early_pd + PTE_TABLE, %eax
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $4096, %eax
    loop 1b
    movl $early_pd, %edi
    movl $PTE_HUGE, %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    loop 1b

    movl $early_pml4, %eax
    movl %eax, %cr3
    movl $(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    testl $CPUID_NX, %ebp
    jz 1f
    orl $EFER_NXE, %eax
1:  wrmsr
    movl %cr0, %eax
    andl $~(CR0_EM | CR0_TS), %eax
    orl $(CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_PE), %eax
    movl %eax, %cr0
    lgdt early_gdt_pointer
    ljmp $8, $start64

no_memory:
    movl $no_memory_text, %esi
    jmp give_up
no_long_mode:
    movl $no_long_mode_text, %esi
/* There is no log yet: say it on the serial port as directly as can be, then stay. */
give_up:
    movw $0x3f8, %dx
1:  lodsb
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:  hlt
    jmp 2b
no_memory_text:
    .asciz "ferrule: the machine has less memory than the kernel takes up: 3 MiB are enough\r\n"
no_long_mode_text:
    .asciz "ferrule: this CPU has no 64-bit mode\r\n"

    .code64
start64:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    fninit
    movl %esi, %edi
    movl %ebx, %esi
    movl $main_stack_top, %esp
    /* A zero frame pointer and return address end every backtrace. */
    xorl %ebp, %ebp
    pushq $0
    jmp kernel_main

    .balign 8
early_gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00cf92000000ffff
early_gdt_pointer:
    .short . - early_gdt - 1
    .quad early_gdt

    .section .bss.page_tables, "aw", @nobits
    .balign 4096
early_pml4:
    .skip 4096
early_pdpt:
    .skip 4096
early_pd:
    .skip 4 * 4096

    .section .bss.start, "aw", @nobits
    .balign 8
    .globl start_tsc
start_tsc:
    .skip 8

/*
 * The page below each stack is unmapped by arch/x86_64/paging.c: an overflow faults instead of
 * overwriting data.
 */
    .section .stacks, "aw", @nobits
    .balign 4096
    .globl main_stack_guard, main_stack_top
main_stack_guard:
    .skip 4096
    .skip 128 * 1024
main_stack_top:

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, PVH_NOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start_pvh

    .section .note.GNU-stack, "", @progbits
