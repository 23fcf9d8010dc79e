/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tripwire in the watchdog: which targets it holds and from which usage on, what its events set
 * off, and how it is let go of. Everything here is of the loop's one thread; nothing is allocated
 * after wiring_open(). Without a tripwire (watch->tripwire is NULL) every function does nothing.
 */
#ifndef OOMSNAP_WIRING_H
#define OOMSNAP_WIRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct target;
struct watch;

/*
 * Loads the tripwire if any target of the configuration asks for it; where that fails
 * watch->tripwire_why says why. Before the guardian and the capturers are forked, which inherit the
 * memory in which it notes whom it stopped, and before memory is locked. May take half a second.
 */
void wiring_open(struct watch *w);

/* Has its events call for us. 0 or -errno. */
int wiring_start(struct watch *w);

/* Detaches and frees it. Every target has been left by then. */
void wiring_close(struct watch *w);

/*
 * What keeps the tripwire from being counted on for an open target whose limit stands at this
 * level; NULL: nothing does. *ret_mend is the change that would mend it, "" where there is none.
 */
const char *wiring_obstacle(const struct target *t, unsigned int level, const char **ret_mend);

/*
 * In words, where in the kernel it stands for an open target, or why it does not and what would
 * mend that. size at least WIRING_TEXT_MAX. The hook's name alone, or "none".
 */
#define WIRING_TEXT_MAX 512
const char *wiring_text(const struct target *t, char *memory, size_t size);

/*
 * After a look: puts the tripwire in force where the target's state and usage want it, at the
 * threshold that its limit has now, or takes it back.
 */
void wiring_follow(struct target *t);

/*
 * While it is in force, now and then: notes in the ledger whom others have stopped, so that the
 * next start, should all of ours die, leaves them alone.
 */
void wiring_note_stopped(struct target *t);

/*
 * Takes it back: from now on nobody is stopped, and who was, told of or not, goes on. Last of all
 * undos, as that lets the target run. How many processes could not be continued.
 */
unsigned int wiring_release(struct target *t);

/*
 * At each beat: detaches the programs once nobody has needed them for a minute, no target is in an
 * incident and none is near. Never as part of an incident: it may take seconds (os/bpf.h).
 */
void wiring_rest(struct watch *w);

/*
 * What was stopped goes on. Where it was stopped too early, this many bytes below the trip, the
 * threshold is higher by as much for a while, and the first time it is told.
 */
void wiring_continue(struct target *t, uint64_t early_bytes);

/*
 * For a kill that was counted while wiring.victim is not known: waits for the kernel's word of it,
 * which comes microseconds later (mark_oom_victim() in mm/oom_kill.c) or, where that processor was
 * taken to run us, once it goes on; 5 ms at most. What else is told then is acted on next.
 */
void wiring_await_victim(struct target *t);

/*
 * Whether the tripwire has stopped a process of the target, told by now and not acted on yet; who
 * asks acts on it (wiring.stop). What else was told is acted on next.
 */
bool wiring_was_told(struct target *t);

/* The target is left: the tripwire forgets it. */
void wiring_leave(struct target *t);

#endif
