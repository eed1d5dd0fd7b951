/* SPDX-License-Identifier: ISC */
/*
 * SSE2 and x87 arithmetic against constants, the state at the start, and that a hypercall keeps
 * all of it. Uses the FPU. Depends on the test guests' runtime only.
 */
#include "tests/guests/abi.h"

static uint64_t bits(double d)
{
    uint64_t u;

    memcpy(&u, &d, sizeof u);
    return u;
}

static uint32_t bits32(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    return u;
}

/* Operands that the compiler can't compute with beforehand. */
static volatile double one = 1.0, three = 3.0, ten = 10.0, two = 2.0, huge = 1e300;
static volatile float onef = 1.0f, threef = 3.0f;
static volatile long double onel = 1.0L, threel = 3.0L;
static volatile int64_t big_int = 0x20000000000001;

static void start_state(void)
{
    uint16_t control;
    uint32_t mxcsr;

    __asm__ volatile("fnstcw %0" : "=m"(control));
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    check_u64("x87 control word", control, 0x37F);
    check_u64("MXCSR", mxcsr, 0x1F80);
}

static void sse_scalar(void)
{
    double root;

    check_u64("1/3", bits(one / three), 0x3FD5555555555555);
    check_u64("1/3 single", bits32(onef / threef), 0x3EAAAAAB);
    check_u64("10/3 * 3", bits(ten / three * three), 0x4024000000000000);
    check_u64("1e300 * 1e300", bits(huge * huge), 0x7FF0000000000000);
    check_u64("1 - 10", bits(one - ten), 0xC022000000000000);
    __asm__ volatile("sqrtsd %1, %0" : "=x"(root) : "x"(two));
    check_u64("sqrt 2", bits(root), 0x3FF6A09E667F3BCD);
    check_u64("to an integer, truncated", (uint64_t)(int64_t)(-ten / three), (uint64_t)-3);
    check_u64("from an integer of 54 bits, to even", bits((double)big_int), 0x4340000000000000);
    check_u64("1 < 3", one < three, 1);
    check_u64("single to double", bits((double)(onef / threef)), 0x3FD5555560000000);
}

static void sse_packed(void)
{
    static const uint32_t a[4] __attribute__((aligned(16))) = {1, 2, 3, 0xFFFFFFFF};
    static const uint32_t b[4] __attribute__((aligned(16))) = {10, 20, 30, 1};
    uint32_t sum[4] __attribute__((aligned(16)));
    uint64_t product[2] __attribute__((aligned(16)));
    uint32_t mask;

    __asm__ volatile("movdqa %1, %%xmm0\n\tpaddd %2, %%xmm0\n\tmovdqa %%xmm0, %0"
                     : "=m"(sum)
                     : "m"(a), "m"(b)
                     : "xmm0");
    check_u64("paddd 0", sum[0], 11);
    check_u64("paddd 2", sum[2], 33);
    check_u64("paddd 3 wraps", sum[3], 0);
    __asm__ volatile("pshufd $0xfd, %1, %%xmm1\n\tpshufd $0xfd, %2, %%xmm2\n\t"
                     "pmuludq %%xmm2, %%xmm1\n\tmovdqa %%xmm1, %0"
                     : "=m"(product)
                     : "m"(a), "m"(b)
                     : "xmm1", "xmm2");
    check_u64("pmuludq", product[0], 40);
    __asm__ volatile("movdqa %1, %%xmm3\n\tmovmskps %%xmm3, %0" : "=r"(mask) : "m"(a) : "xmm3");
    check_u64("movmskps", mask, 8);
}

static void x87(void)
{
    long double third = onel / threel;
    uint64_t mantissa;
    uint16_t exponent;
    int64_t rounded;
    double sine_of_zero;

    memcpy(&mantissa, &third, sizeof mantissa);
    memcpy(&exponent, (const char *)&third + 8, sizeof exponent);
    check_u64("x87 1/3, mantissa", mantissa, 0xAAAAAAAAAAAAAAAB);
    check_u64("x87 1/3, exponent", exponent, 0x3FFD);
    third = threel;
    __asm__ volatile("fsqrt" : "+t"(third));
    memcpy(&mantissa, &third, sizeof mantissa);
    check_u64("x87 sqrt 3, mantissa", mantissa, 0xDDB3D742C265539E);
    __asm__ volatile("fldl %1\n\tfistpll %0" : "=m"(rounded) : "m"(three) : "st");
    check_u64("x87 fistp", (uint64_t)rounded, 3);
    __asm__ volatile("fldz\n\tfsin\n\tfstpl %0" : "=m"(sine_of_zero) : : "st");
    check_u64("x87 sin 0", bits(sine_of_zero), 0);
}

#define LOAD(n)    "movq %1, %%xmm" #n "\n\tincq %1\n\t"
#define STORE(n)   "movq %%xmm" #n ", %%rax\n\tsubq %2, %%rax\n\taddq %%rax, %0\n\tincq %2\n\t"
#define ALL(x)     x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) FROM_10(x)
#define FROM_10(x) x(10) x(11) x(12) x(13) x(14) x(15)

/* Registers before and after a hypercall: the differences of all sixteen add up to nothing. */
static void kept_over_a_hypercall(void)
{
    struct hc_walltime arg;
    uint64_t value = 0x1122334455667788, start = value, sum = 0, mantissa;
    uint64_t rax = (uintptr_t)&arg;
    long double kept = threel;

    __asm__ volatile(
        "fldt %4\n\t" ALL(LOAD) "movl %5, %%edx\n\toutl %%eax, %%dx\n\t" ALL(STORE) "fstpt %4"
        : "+r"(sum), "+r"(value), "+r"(start), "+a"(rax), "+m"(kept)
        : "i"(PORT_BASE + HC_WALLTIME)
        : "rdx", "memory", "cc", "st", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
          "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    check_u64("XMM registers over a hypercall", sum, 0);
    memcpy(&mantissa, &kept, sizeof mantissa);
    check_u64("x87 stack over a hypercall", mantissa, 0xC000000000000000);
}

int solo5_app_main(char *cmdline)
{
    (void)cmdline;
    start_state();
    sse_scalar();
    sse_packed();
    x87();
    kept_over_a_hypercall();
    print("%u failures\n", check_failures);
    return check_failures != 0;
}
