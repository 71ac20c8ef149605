/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads a pointer field of the context. By hand, since the compiler may add the field's offset to the context first, or take
 * the pointer for the 32 bits that the field has in the header: the verifier refuses both.
 */
#pragma once

#include <stddef.h>

#define ctx_load(type, ctx, field) \
	({ \
		void *__p; \
		asm volatile("%[p] = *(u32 *)(%[base] + %[offset])" \
			     : [p] "=r"(__p) \
			     : [base] "r"(ctx), [offset] "i"(offsetof(type, field)), "m"(*(ctx))); \
		__p; \
	})
