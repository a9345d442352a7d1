/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the kernel's type information that CO-RE relocations of our objects can ask for. Found once for
 * all objects; libbpf searches some tens of kilobytes instead of megabytes a relocation, and never asks for
 * the types of modules, which takes CAP_SYS_ADMIN.
 */
#ifndef PST_LOADER_COREBTF_H
#define PST_LOADER_COREBTF_H

#include <stddef.h>

struct btf;

/*
 * New BTF with every struct, union, enum and typedef of @kernel that has the name of such a type in one of
 * @locals, with all that they hold by value (what pointers lead to is left out). 0 or -errno; @ret_btf is
 * owned by the caller.
 */
int corebtf_build(
	const struct btf *kernel, const struct btf *const *locals, size_t n_locals, struct btf **ret_btf);
/* The same for all images, as an anonymous file. Descriptor or -errno. */
int corebtf_open(const struct btf *kernel);

#endif
