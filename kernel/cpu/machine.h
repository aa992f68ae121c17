/* The machine around the CPU: console, power, entropy at boot. */
#ifndef SARAB_MACHINE_H
#define SARAB_MACHINE_H

#include "kernel.h"

void console_init(void);
void console_interrupts_on(void);
void console_write_plainly(const char *bytes, size_t length); /* by the ports */
void random_init(void);	 /* what the CPU gives */
void random_complete(void); /* else what the host gives, or no boot; before anything is drawn but the canary */
#define RANDOM_SEED_SIZE 64
bool virtio_rng_read(void *to); /* so many bytes of an entropy device that the command line describes. False: none gives them */
void acpi_init(void);
void power_button_init(void); /* the power button becomes SIGTERM */
void acpi_power_off(void);    /* returns if there is none */

/* The fast console (virtio_console.c). Until it is started, and from when it was given up, put() takes nothing and the others do nothing. */
bool virtio_console_describe(const char *text); /* "512@0xfeb00e00:23"; false: that is none */
void virtio_console_start(void);
size_t virtio_console_put(const char *bytes, size_t length); /* how many it has taken; the device is told by flush() */
void virtio_console_flush(void);
void virtio_console_drain(void);  /* until the device has taken all */
void virtio_console_forget(void); /* at once, with what is in it */

#endif
