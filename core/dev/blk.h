/* SPDX-License-Identifier: ISC */
/*
 * blk.h: the block device's rules, for its tests.
 */
#ifndef UKVM_BLK_H
#define UKVM_BLK_H

#include <stdbool.h>
#include <stdint.h>

#define UK_SECTOR 512u /* bytes */

/* May (len) bytes from (sector) on be transferred on a disk of (num_sectors)? */
bool uk_blk_in_range(uint64_t sector, uint64_t len, uint64_t num_sectors);
/* Cut ",ro" off the end of an argument `FILE[,ro]`. */
void uk_blk_parse(char *arg, bool *ro);

#endif /* UKVM_BLK_H */
