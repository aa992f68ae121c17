/* abort() ends in the report. DIES 134: SIGABRT */
#include "check.h"

int main(void)
{
	abort();
}
