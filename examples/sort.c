/* SPDX-License-Identifier: ISC */
/*
 * sort: integer work without a hypercall in it: sorts the same pseudo-random numbers by three
 * methods and checks the results against each other.
 */
#include "guest/guest.h"

#define COUNT 160000

static uint32_t numbers[COUNT], scratch[COUNT];

static void fill(uint32_t *a)
{
    uint32_t x = 2463534242;
    for (size_t i = 0; i < COUNT; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        a[i] = x;
    }
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

__attribute__((noinline)) static void quick_sort(uint32_t *a, size_t n)
{
    while (n > 1) {
        uint32_t pivot = a[n / 2];
        size_t i = 0, j = n - 1;
        for (;; i++, j--) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap(&a[i], &a[j]);
        }
        quick_sort(a, i);
        a += i;
        n -= i;
    }
}

static void sift(uint32_t *a, size_t i, size_t n)
{
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && a[c] < a[c + 1])
            c++;
        if (a[i] >= a[c])
            return;
        swap(&a[i], &a[c]);
    }
}

__attribute__((noinline)) static void heap_sort(uint32_t *a, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(a, i, n);
    while (n-- > 1) {
        swap(&a[0], &a[n]);
        sift(a, 0, n);
    }
}

__attribute__((noinline)) static void merge_sort(uint32_t *a, uint32_t *tmp, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2, i = 0, j = half;
    merge_sort(a, tmp, half);
    merge_sort(a + half, tmp, n - half);
    memcpy(tmp, a, n * sizeof(*a));
    for (size_t k = 0; k < n; k++)
        a[k] = j >= n || (i < half && tmp[i] <= tmp[j]) ? tmp[i++] : tmp[j++];
}

/* The order's checksum; aborts if there is no order. */
static uint64_t check(const char *name, const uint32_t *a)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < COUNT; i++) {
        if (i > 0 && a[i - 1] > a[i])
            ukvm_abort("%s sort: element %zu is out of order", name, i);
        sum = (sum ^ a[i]) * 0x100000001b3;
    }
    ukvm_printf("%-5s sort: checksum 0x%016lx\n", name, sum);
    return sum;
}

int main(void)
{
    ukvm_printf("sorting %d numbers\n", COUNT);
    fill(numbers);
    quick_sort(numbers, COUNT);
    uint64_t sum = check("quick", numbers);
    fill(numbers);
    heap_sort(numbers, COUNT);
    if (check("heap", numbers) != sum)
        ukvm_abort("quick sort and heap sort differ");
    fill(numbers);
    merge_sort(numbers, scratch, COUNT);
    if (check("merge", numbers) != sum)
        ukvm_abort("quick sort and merge sort differ");
    ukvm_puts("sorted\n");
    return 0;
}
