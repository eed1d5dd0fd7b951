/* SPDX-License-Identifier: ISC */
/*
 * image_symbols.c: the symbols of an ELF file as a sorted table, and looking in it.
 * libelf checks that sections are inside the file; what they say is checked here.
 */
#include "core/image_file.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "core/checked.h"
#include "core/error.h"

/* A symbol while the table is made; (room): where it ends at the latest. */
struct raw {
    struct ukvm_sym sym;
    ukvm_gva_t room;
};

#define NAME_MAX_LEN 1024 /* a longer one is not a name */

struct builder {
    Elf *elf;
    const struct uk_image *image;
    struct raw *raw;
    size_t n;
    char *names; /* a copy of the string table */
    size_t names_size;
};

void uk_symbols_free(struct uk_symbols *s)
{
    free(s->sym);
    free(s->by_name);
    free(s->outer);
    free(s->names);
    memset(s, 0, sizeof(*s));
}

/* The static symbol table, else the dynamic one. */
static Elf_Scn *find_table(Elf *elf, GElf_Shdr *sh)
{
    static const GElf_Word types[] = {SHT_SYMTAB, SHT_DYNSYM};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));)
            if (gelf_getshdr(scn, sh) && sh->sh_type == types[i])
                return scn;
    return NULL;
}

/* Names that a person would type: no mapping symbols, local labels, control characters. */
static bool name_is_ours(const char *name)
{
    size_t n = 0;

    if (!*name || *name == '$' || strncmp(name, ".L", 2) == 0)
        return false;
    for (; name[n] && n < NAME_MAX_LEN; n++)
        if ((unsigned char)name[n] <= 0x20 || name[n] == 0x7f)
            return false;
    return name[n] == '\0';
}

static bool in_segment(const struct uk_image *image, ukvm_gva_t addr, ukvm_gva_t *end)
{
    for (size_t i = 0; i < image->nseg; i++)
        if (addr >= image->seg[i].gpa && addr - image->seg[i].gpa <= image->seg[i].memsz) {
            *end = image->seg[i].gpa + image->seg[i].memsz;
            return true;
        }
    return false;
}

/* Is the symbol in memory? Then whether it is code, and where its section ends. */
static bool place(const struct builder *b, const GElf_Sym *sym, bool *code, ukvm_gva_t *room)
{
    GElf_Shdr sh;

    *code = GELF_ST_TYPE(sym->st_info) == STT_FUNC || GELF_ST_TYPE(sym->st_info) == STT_GNU_IFUNC;
    if (sym->st_shndx == SHN_ABS)
        return in_segment(b->image, sym->st_value, room);
    if (sym->st_shndx == SHN_UNDEF || sym->st_shndx >= SHN_LORESERVE ||
        !gelf_getshdr(elf_getscn(b->elf, sym->st_shndx), &sh) || !(sh.sh_flags & SHF_ALLOC) ||
        !uk_add(sh.sh_addr, sh.sh_size, room))
        return false;
    if (GELF_ST_TYPE(sym->st_info) == STT_NOTYPE)
        *code = sh.sh_flags & SHF_EXECINSTR;
    return true;
}

static char type_letter(const GElf_Sym *sym, bool code)
{
    if (GELF_ST_BIND(sym->st_info) == STB_LOCAL)
        return code ? 't' : 'd';
    return code ? 'T' : 'D';
}

/* Take one symbol, unless it is none of ours. */
static void add_symbol(struct builder *b, const GElf_Sym *sym)
{
    unsigned type = GELF_ST_TYPE(sym->st_info);
    ukvm_gva_t room, end;
    bool code;

    if (type != STT_NOTYPE && type != STT_FUNC && type != STT_OBJECT && type != STT_GNU_IFUNC)
        return;
    if (sym->st_name >= b->names_size || !name_is_ours(b->names + sym->st_name) ||
        !place(b, sym, &code, &room) || !uk_add(sym->st_value, sym->st_size, &end))
        return;
    b->raw[b->n++] = (struct raw){
        .sym = {b->names + sym->st_name, sym->st_value, sym->st_size, type_letter(sym, code)},
        .room = room,
    };
}

static bool is_global(const struct ukvm_sym *s)
{
    return s->type == 'T' || s->type == 'D';
}

static size_t underscores(const char *name)
{
    return strspn(name, "_");
}

/* By address; then what a person would call it: sized, global, without underscores. */
static int by_address(const void *pa, const void *pb)
{
    const struct ukvm_sym *a = &((const struct raw *)pa)->sym, *b = &((const struct raw *)pb)->sym;

    if (a->addr != b->addr)
        return a->addr < b->addr ? -1 : 1;
    if (!a->size != !b->size)
        return a->size ? -1 : 1;
    if (is_global(a) != is_global(b))
        return is_global(a) ? -1 : 1;
    if (underscores(a->name) != underscores(b->name))
        return underscores(a->name) < underscores(b->name) ? -1 : 1;
    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool same(const struct ukvm_sym *a, const struct ukvm_sym *b)
{
    return a->addr == b->addr && strcmp(a->name, b->name) == 0;
}

/* Sort, and drop what is there twice. */
static void arrange(struct builder *b)
{
    size_t kept = 0;

    qsort(b->raw, b->n, sizeof(*b->raw), by_address);
    for (size_t i = 0; i < b->n; i++)
        if (kept == 0 || !same(&b->raw[i].sym, &b->raw[kept - 1].sym))
            b->raw[kept++] = b->raw[i];
    b->n = kept;
}

static bool contains(const struct ukvm_sym *s, ukvm_gva_t addr)
{
    return addr >= s->addr && addr - s->addr < s->size;
}

/* The innermost of symbol (i) and those around it that contains (addr), plus 1; 0: none. */
static uint32_t innermost(const struct uk_symbols *s, uint32_t i, ukvm_gva_t addr)
{
    while (i > 0 && !contains(&s->sym[i - 1], addr))
        i = s->outer[i - 1];
    return i;
}

/* Those at one address, from (i) to before (end); (around) holds what contains them. */
static void link_group(struct uk_symbols *s, const struct raw *raw, size_t i, size_t end,
                       uint32_t around)
{
    for (size_t k = i; k < end; k++) {
        struct ukvm_sym *sym = &s->sym[k];

        s->outer[k] = k + 1 < end ? (uint32_t)k + 2 : around;
        if (sym->size == 0 && k > i) {
            sym->size = s->sym[k - 1].size;
        } else if (sym->size == 0 && around == 0) {
            ukvm_gva_t room = raw[k].room;

            if (end < s->n && raw[end].sym.addr < room)
                room = raw[end].sym.addr;
            sym->size = room > sym->addr ? room - sym->addr : 0;
        }
    }
}

/*
 * Copy the symbols, link each to the one around it, and let those without a size
 * reach to the next one; a label within a sized symbol stays without.
 */
static void link_symbols(struct uk_symbols *s, const struct raw *raw)
{
    uint32_t before = 0; /* 1 + the first one at the address before */
    size_t end;

    for (size_t i = 0; i < s->n; i++)
        s->sym[i] = raw[i].sym;
    for (size_t i = 0; i < s->n; i = end) {
        for (end = i + 1; end < s->n && raw[end].sym.addr == raw[i].sym.addr;)
            end++;
        link_group(s, raw, i, end, innermost(s, before, raw[i].sym.addr));
        before = (uint32_t)i + 1;
    }
}

static int by_name(const void *pa, const void *pb, void *syms)
{
    const struct ukvm_sym *a = (const struct ukvm_sym *)syms + *(const uint32_t *)pa;
    const struct ukvm_sym *b = (const struct ukvm_sym *)syms + *(const uint32_t *)pb;
    int c = strcmp(a->name, b->name);

    if (c != 0)
        return c;
    if (is_global(a) != is_global(b))
        return is_global(a) ? -1 : 1;
    return a < b ? -1 : a > b;
}

static bool make_table(struct uk_symbols *s, const struct builder *b)
{
    s->sym = calloc(b->n, sizeof(*s->sym));
    s->by_name = calloc(b->n, sizeof(*s->by_name));
    s->outer = calloc(b->n, sizeof(*s->outer));
    if (!s->sym || !s->by_name || !s->outer)
        return false;
    s->n = b->n;
    link_symbols(s, b->raw);
    for (size_t i = 0; i < s->n; i++)
        s->by_name[i] = (uint32_t)i;
    qsort_r(s->by_name, s->n, sizeof(*s->by_name), by_name, s->sym);
    return true;
}

/* The string table, ended by a NUL whatever the file says. */
static bool copy_names(struct builder *b, GElf_Word section)
{
    Elf_Data *data = elf_rawdata(elf_getscn(b->elf, section), NULL);

    if (!data || !data->d_buf || data->d_size == 0)
        return true;
    b->names = malloc(data->d_size + 1);
    if (!b->names)
        return false;
    memcpy(b->names, data->d_buf, data->d_size);
    b->names[data->d_size] = '\0';
    b->names_size = data->d_size;
    return true;
}

static bool collect(struct builder *b, Elf_Scn *scn, const GElf_Shdr *sh)
{
    Elf_Data *data = elf_getdata(scn, NULL);
    size_t n = data && data->d_buf ? data->d_size / sizeof(Elf64_Sym) : 0;
    GElf_Sym sym;

    if (n > INT32_MAX)
        n = INT32_MAX;
    if (n == 0)
        return true;
    b->raw = calloc(n, sizeof(*b->raw));
    if (!b->raw || !copy_names(b, sh->sh_link))
        return false;
    for (size_t i = 0; i < n; i++)
        if (gelf_getsym(data, (int)i, &sym))
            add_symbol(b, &sym);
    return true;
}

int uk_symbols_read(struct uk_symbols *s, Elf *elf, const struct uk_image *image,
                    struct ukvm_error *err)
{
    struct builder b = {.elf = elf, .image = image};
    GElf_Shdr sh;
    Elf_Scn *scn = find_table(elf, &sh);
    bool ok = !scn || collect(&b, scn, &sh);

    uk_symbols_free(s);
    if (ok && b.n > 0) {
        arrange(&b);
        ok = make_table(s, &b);
    }
    free(b.raw);
    s->names = b.names;
    if (ok)
        return UKVM_OK;
    uk_symbols_free(s);
    return uk_error(err, UKVM_ENOMEM, "%s: no memory for its symbols", uk_image_name(image->path));
}

const struct ukvm_sym *uk_symbols_by_name(const struct uk_symbols *s, const char *name)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (strcmp(s->sym[s->by_name[mid]].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == s->n || strcmp(s->sym[s->by_name[lo]].name, name) != 0)
        return NULL;
    return &s->sym[s->by_name[lo]];
}

/* How many symbols begin below (addr). */
static size_t count_below(const struct uk_symbols *s, ukvm_gva_t addr)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->sym[mid].addr < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct ukvm_sym *uk_symbols_by_addr(const struct uk_symbols *s, ukvm_gva_t addr)
{
    size_t n = addr == UINT64_MAX ? s->n : count_below(s, addr + 1);
    uint32_t i = 0;

    /* The first of those at one address has the best name. */
    if (n > 0)
        i = innermost(s, (uint32_t)count_below(s, s->sym[n - 1].addr) + 1, addr);
    return i ? &s->sym[i - 1] : NULL;
}
