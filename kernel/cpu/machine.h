/* The machine around the CPU: console, power, entropy at boot. */
#ifndef SARAB_MACHINE_H
#define SARAB_MACHINE_H

#include "kernel.h"

void console_init(void);
void console_interrupts_on(void);
void random_init(void);
void acpi_init(void);
void power_button_init(void); /* the power button becomes SIGTERM */
void acpi_power_off(void);    /* returns if there is none */

#endif
