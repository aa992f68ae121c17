/* The console as a file. */
#ifndef SARAB_CONSOLE_H
#define SARAB_CONSOLE_H

#include "personality/files.h"

extern const struct file_operations console_operations;

#endif
