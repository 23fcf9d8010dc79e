# SPDX-License-Identifier: Apache-2.0
"""For gdb on a core of Node: counts the objects of one JavaScript class on V8's heap.

usage: gdb -batch -ex 'py CLASS="LeakedChunk"' -x v8heap.py /usr/bin/node CORE

llnode and its like do not know V8's heap any more, but Node still carries the offsets of its classes
for them (v8dbg_*). From a class's name it is a few steps along pointers to what its objects begin
with: name -> ScopeInfo -> SharedFunctionInfo -> JSFunction -> initial map -> the maps that grew out of
it as the constructor added fields. So all pointers in the core are turned round once, and followed
back. What is garbage and not collected yet counts too.

Relies on: the symbols v8dbg_* of that very node (Node exports them); V8 on 64 bits without pointer
compression, as Node builds it (Electron does not); an object that begins with its map, its properties
and its elements. Exact with Node 18, 20, 22 and 24; what is missing elsewhere is said."""

import gdb

SCOPE_INFO_WORDS = 16  # within which its name is
ARRAY_TYPES = (
    "FixedArray__FIXED_ARRAY_TYPE",
    "FixedDoubleArray__FIXED_DOUBLE_ARRAY_TYPE",
    "PropertyArray__PROPERTY_ARRAY_TYPE",
)
PAGE = 4096


class Missing(Exception):
    pass


def constants():
    """What Node says of V8's heap to debuggers: the symbols v8dbg_*, by their names without that."""
    listing = gdb.execute("info variables ^v8dbg_", to_string=True)
    return [word[6:] for word in listing.split() if word.startswith("v8dbg_")]


def constant(name):
    """By its name; that of a field (class_Map__instance_type) may go on with its type, which differs
    from one V8 to the next."""
    for known in KNOWN:
        if known == name or known.startswith(f"{name}__"):
            return int(gdb.parse_and_eval(f"*(int *)&v8dbg_{known}"))
    raise Missing(name)


KNOWN = constants()
try:
    TAG = constant("HeapObjectTag")
    SHARED_INFO = constant("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE")
    NAME = constant("class_SharedFunctionInfo__name_or_scope_info")
    SHARED = constant("class_JSFunction__shared")
    INITIAL_MAP = constant("class_JSFunction__prototype_or_initial_map")
    ARRAYS = [constant(f"type_{name}") for name in ARRAY_TYPES]
    CHARS = constant("class_SeqOneByteString__chars")
    TYPE = constant("class_Map__instance_type")
    BACK = constant("class_Map__constructor_or_back_pointer")
except Missing as missing:
    program = gdb.current_progspace().filename
    raise gdb.GdbError(
        f"v8heap.py: {program} has no symbol v8dbg_{missing}: its V8 is not one that this script knows "
        "(Node 18 to 24)"
        if KNOWN
        else f"v8heap.py: {program} has no symbol v8dbg_*: name the node that the core is of"
    ) from None
if any(offset % 8 for offset in (SHARED, INITIAL_MAP, BACK)):
    raise gdb.GdbError("v8heap.py: a V8 with pointer compression (Electron), which this does not read")

pages = {}  # of the core, those that are not empty
for line in gdb.execute("info files", to_string=True).splitlines():
    words = line.split()
    if len(words) == 5 and words[1] == "-" and words[4].startswith("load"):
        first, end = int(words[0], 16), int(words[2], 16)
        try:
            data = gdb.selected_inferior().read_memory(first, end - first).tobytes()
        except gdb.MemoryError:
            continue  # of a file that is not here
        for at in range(0, len(data) - PAGE + 1, PAGE):
            page = data[at : at + PAGE]
            if page.count(0) != PAGE:
                pages[first + at >> 12] = memoryview(page).cast("Q")

pointers = {}  # tagged address -> where it is written
for number, page in pages.items():
    for i, value in enumerate(page):
        if value & 3 == TAG and value >> 12 in pages:
            pointers.setdefault(value, []).append((number << 12) + 8 * i)


def word(address):
    page = pages.get(address >> 12)
    return page[(address & PAGE - 1) >> 3] if page else 0


def pointers_to(address):
    return pointers.get(address + TAG, ())


def is_map(tagged):
    """A map's own map is the one that is its own map."""
    own = word(tagged - TAG) if tagged & 3 == TAG else 0
    return own & 3 == TAG and word(own - TAG) == own


def type_of(address):
    tagged = word(address)
    if not is_map(tagged):
        return -1
    return word(tagged - TAG + TYPE) >> TYPE % 8 * 8 & 0xFFFF


def strings(text):
    length = len(text) << 32
    first = int.from_bytes(text[:8].ljust(8, b"\0"), "little")
    for number, page in pages.items():
        for i, value in enumerate(page):
            if value == first and i and page[i - 1] & ~0xFFFFFFFF == length:
                yield (number << 12) + 8 * i - CHARS


def initial_maps(text):
    """Of the functions that are called so: the name is in their ScopeInfo."""
    for string in strings(text):
        for slot in pointers_to(string):
            for place in (p for w in range(SCOPE_INFO_WORDS) for p in pointers_to(slot - 8 * w)):
                if type_of(place - NAME) != SHARED_INFO:
                    continue
                for function in pointers_to(place - NAME):
                    initial = word(function - SHARED + INITIAL_MAP)
                    if is_map(word(function - SHARED)) and is_map(initial):
                        yield initial - TAG


maps = []
found = list(initial_maps(CLASS.encode()))  # noqa: F821
while found:
    at = found.pop()
    if at in maps:
        continue
    maps.append(at)
    found += [p - BACK for p in pointers_to(at) if is_map(p - BACK + TAG) and type_of(p - BACK) >= 0]
# An object is its map, and two pointers: to its properties and to its elements, both arrays.
objects = [
    at
    for each in maps
    for at in pointers_to(each)
    if type_of(word(at + 8) - TAG) in ARRAYS and type_of(word(at + 16) - TAG) in ARRAYS
]
print(f"wanted {CLASS} count={len(objects)} maps={len(maps)}")  # noqa: F821
if not maps:
    print(f"no class or function called {CLASS} was found")  # noqa: F821
