/* SPDX-License-Identifier: ISC */
/*
 * probe.h: the parts of `ukvmdbg probe`.
 */
#ifndef UD_PROBE_H
#define UD_PROBE_H

#include "ukvmdbg/facts.h"

/* Who runs us, /dev/kvm, /dev/net/tun, TAP interfaces, user-mode networking. */
void ud_probe_host(struct ud_facts *f);

#endif /* UD_PROBE_H */
