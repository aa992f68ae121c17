/* The armed timers in order of their deadlines: a treap of struct timer, so that thousands cost no more than a few steps each.
 * Uses the timer's list node for its two children; keeps nothing else, allocates nothing. Tested on the host. */
#ifndef SARAB_TIMER_TREE_H
#define SARAB_TIMER_TREE_H

#include "kernel.h"

struct timer_tree {
	struct timer *root, *first; /* first: the earliest, or NULL */
	uint64_t seed;		    /* so that nobody can choose the tree's shape */
};

void timer_tree_insert(struct timer_tree *tree, struct timer *t);
void timer_tree_remove(struct timer_tree *tree, struct timer *t); /* it must be in */

#endif
