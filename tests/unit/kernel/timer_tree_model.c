/* Random insertions, removals and expiries in kernel/time/timer_tree.c, against an array that is searched from end to end.
 * Arguments: seed, steps, timers. Prints the number of steps done; a difference ends it with a line and status 1. */
#include <stdio.h>
#include <stdlib.h>

#include "time/timer_tree.h"

static struct timer_tree tree;
static struct timer *timers;
static uint64_t state;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static int64_t earliest(size_t count)
{
	int64_t best = INT64_MAX;
	for (size_t i = 0; i < count; i++)
		if (timers[i].armed && timers[i].deadline < best)
			best = timers[i].deadline;
	return best;
}

static unsigned depth(const struct timer *t)
{
	if (t == NULL)
		return 0;
	unsigned a = depth((const struct timer *)(const void *)t->node.next), b = depth((const struct timer *)(const void *)t->node.previous);
	return 1 + (a > b ? a : b);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	state = strtoull(argv[1], NULL, 10) * 2 + 1;
	size_t steps = strtoull(argv[2], NULL, 10), count = strtoull(argv[3], NULL, 10);
	timers = calloc(count, sizeof *timers);
	tree.seed = next();
	unsigned deepest = 0;
	for (size_t step = 0; step < steps; step++) {
		struct timer *t = &timers[next() % count];
		if (t->armed) {
			timer_tree_remove(&tree, t);
			t->armed = false;
		} else {
			/* Few deadlines, so that many are equal; or rising, as real ones are: the worst for a tree that is not balanced. */
			t->deadline = (int64_t)(next() % 4 == 0 ? next() % 50 : step);
			t->armed = true;
			timer_tree_insert(&tree, t);
		}
		if (step % 64 == 0 || count <= 64) {
			int64_t expected = earliest(count), got = tree.first != NULL ? tree.first->deadline : INT64_MAX;
			unsigned now = depth(tree.root);
			deepest = now > deepest ? now : deepest;
			if (expected != got) {
				printf("step %zu: %lld, not %lld\n", step, (long long)got, (long long)expected);
				return 1;
			}
		}
	}
	for (int64_t last = INT64_MIN; tree.first != NULL;) {
		struct timer *t = tree.first;
		if (t->deadline < last || !t->armed) {
			puts("out of order");
			return 1;
		}
		last = t->deadline;
		timer_tree_remove(&tree, t);
		t->armed = false;
	}
	for (size_t i = 0; i < count; i++)
		if (timers[i].armed) {
			puts("lost");
			return 1;
		}
	printf("%zu steps, %u deep\n", steps, deepest);
	return 0;
}
