/* SPDX-License-Identifier: ISC */
/*
 * shared.h: the mark of a program's function that ukvm_dbg.so calls too: the program
 * is linked so that its plugin finds ud_*. Knows nothing else.
 */
#ifndef UD_SHARED_H
#define UD_SHARED_H

#define UD_SHARED __attribute__((visibility("default")))

#endif /* UD_SHARED_H */
