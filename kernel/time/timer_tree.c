/* A treap: by deadline (then address) a search tree, by a hash of the address a heap. Seidel and Aragon, "Randomized search trees". */
#include "time/timer_tree.h"

static struct timer **left(struct timer *t)
{
	return (struct timer **)(void *)&t->node.next;
}

static struct timer **right(struct timer *t)
{
	return (struct timer **)(void *)&t->node.previous;
}

static bool before(const struct timer *a, const struct timer *b)
{
	return a->deadline != b->deadline ? a->deadline < b->deadline : (uintptr_t)a < (uintptr_t)b;
}

static uint64_t weight(const struct timer_tree *tree, const struct timer *t)
{
	uint64_t x = (uintptr_t)t ^ tree->seed;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93;
	return x ^ x >> 32;
}

void timer_tree_insert(struct timer_tree *tree, struct timer *t)
{
	struct timer **at = &tree->root;
	uint64_t own = weight(tree, t);

	while (*at != NULL && weight(tree, *at) >= own)
		at = before(t, *at) ? left(*at) : right(*at);
	/* Split what hangs here into what is before t and what is after. */
	struct timer *rest = *at, **low = left(t), **high = right(t);
	while (rest != NULL) {
		if (before(rest, t)) {
			*low = rest;
			low = right(rest);
			rest = *low;
		} else {
			*high = rest;
			high = left(rest);
			rest = *high;
		}
	}
	*low = *high = NULL;
	*at = t;
	if (tree->first == NULL || before(t, tree->first))
		tree->first = t;
}

void timer_tree_remove(struct timer_tree *tree, struct timer *t)
{
	struct timer **at = &tree->root;

	while (*at != t)
		at = before(t, *at) ? left(*at) : right(*at);
	/* Join its children. */
	struct timer *a = *left(t), *b = *right(t);
	while (a != NULL && b != NULL) {
		if (weight(tree, a) >= weight(tree, b)) {
			*at = a;
			at = right(a);
			a = *at;
		} else {
			*at = b;
			at = left(b);
			b = *at;
		}
	}
	*at = a != NULL ? a : b;
	if (tree->first == t) {
		tree->first = tree->root;
		while (tree->first != NULL && *left(tree->first) != NULL)
			tree->first = *left(tree->first);
	}
}
