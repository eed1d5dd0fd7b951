/* SPDX-License-Identifier: ISC */
/*
 * strcode.c: the names of the error codes.
 */
#include "core/ukvm.h"

static const struct {
    enum ukvm_code code;
    const char *name;
} codes[] = {
    {UKVM_OK, "UKVM_OK"},         {UKVM_ENOMEM, "UKVM_ENOMEM"}, {UKVM_ESYS, "UKVM_ESYS"},
    {UKVM_EINVAL, "UKVM_EINVAL"}, {UKVM_ESTATE, "UKVM_ESTATE"}, {UKVM_ENOTSUP, "UKVM_ENOTSUP"},
    {UKVM_ENOENT, "UKVM_ENOENT"}, {UKVM_ELIMIT, "UKVM_ELIMIT"}, {UKVM_EADDR, "UKVM_EADDR"},
    {UKVM_EIMAGE, "UKVM_EIMAGE"}, {UKVM_EFILE, "UKVM_EFILE"},   {UKVM_EGUEST, "UKVM_EGUEST"},
};

const char *ukvm_strcode(int code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "unknown";
}
