/* SPDX-License-Identifier: ISC */
/*
 * fpu: SSE and x87 arithmetic, each result compared to the bit. The only example that uses more
 * than general registers: where it fails and the others run, a machine can't do floating point.
 * Operands are volatile, so that the processor computes and not the compiler.
 */
#include "guest/guest.h"

typedef float vec4 __attribute__((vector_size(16)));
typedef uint32_t int4 __attribute__((vector_size(16)));

static unsigned failed;

static void check(const char *what, uint64_t got, uint64_t want)
{
    bool ok = got == want;
    ukvm_printf("%-32s 0x%016lx %s\n", what, got, ok ? "ok" : "WRONG");
    if (!ok) {
        ukvm_printf("%-32s 0x%016lx\n", "  expected", want);
        failed++;
    }
}

static uint64_t bits(double d)
{
    uint64_t v;
    memcpy(&v, &d, sizeof(v));
    return v;
}

static uint64_t mantissa(long double x)
{
    uint64_t v;
    memcpy(&v, &x, sizeof(v));
    return v;
}

static void sse_double(void)
{
    volatile double one = 1.0, three = 3.0, tiny = 4.9406564584124654e-324;
    double sum = 0, root;
    for (int k = 1; k <= 1000; k++)
        sum += one / ((double)k * k);
    check("SSE2: sum of 1/k^2 to 1000", bits(sum), 0x3ffa4d8e550a946e);
    check("SSE2: 1/3", bits(one / three), 0x3fd5555555555555);
    check("SSE2: smallest denormal * 3", bits(tiny * three), 3);
    __asm__("sqrtsd %1, %0" : "=x"(root) : "x"((double)three));
    check("SSE2: square root of 3", bits(root), 0x3ffbb67ae8584caa);
    check("SSE2: 10^15/3 to integer", (uint64_t)(int64_t)(1e15 * one / three), 333333333333333);
}

static void sse_vector(void)
{
    volatile float f[4] = {1.5F, -2.25F, 3.0F, 1e10F};
    vec4 a = {f[0], f[1], f[2], f[3]}, b = {f[3], f[2], f[1], f[0]};
    vec4 r = a * b + a / b - b;
    int4 v = (int4)r;
    check("SSE: four floats, elements 0, 1", (uint64_t)v[0] << 32 | v[1], 0x4f9502fac1280000);
    check("SSE: four floats, elements 2, 3", (uint64_t)v[2] << 32 | v[3], 0xc0baaaaa50a16de3);
    int4 less = (int4)(a < b);
    check("SSE: comparison masks", (less[0] & 1) | (less[1] & 2) | (less[2] & 4) | (less[3] & 8),
          3);
}

/* The series for arctan(1/n); with it, Machin's formula gives pi but for the last of 64 bits. */
static long double arctan_inverse(long double n)
{
    long double power = 1 / n, sum = power;
    for (int k = 3; k < 100; k += 2) {
        power /= -n * n;
        sum += power / k;
    }
    return sum;
}

static void x87(void)
{
    volatile long double five = 5, other = 239;
    volatile double half = 0.5;
    long double pi, root;
    __asm__("fldpi" : "=t"(pi));
    check("x87: pi as the processor has it", mantissa(pi), 0xc90fdaa22168c235);
    long double machin = 4 * (4 * arctan_inverse(five) - arctan_inverse(other));
    check("x87: pi by Machin's formula", mantissa(machin), 0xc90fdaa22168c236);
    __asm__("fsqrt" : "=t"(root) : "0"((long double)five));
    check("x87: square root of 5", mantissa(root), 0x8f1bbcdcbfa53e0b);
    check("x87: 0.5 * 5 as a double", bits((double)(half * five)), 0x4004000000000000);
    check("x87: 239/5 to integer", (uint64_t)(int64_t)(other / five), 47);
}

int main(void)
{
    sse_double();
    sse_vector();
    x87();
    ukvm_printf("%u wrong\n", failed);
    return failed != 0;
}
