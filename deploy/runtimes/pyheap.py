"""For gdb on a core of CPython 3.11 with its debug information: counts the objects of one class.

usage: gdb -batch -ex 'py CLASS="LeakedChunk"' -x pyheap.py /usr/bin/python3.11 CORE

Walks the collector's lists, in which every object of a Python class is."""

import gdb

counts = {}
head_type = gdb.lookup_type("PyGC_Head").pointer()
object_type = gdb.lookup_type("PyObject").pointer()
names = {}
interpreter = gdb.parse_and_eval("_PyRuntime.interpreters.head")
for generation in range(3):
    head = interpreter["gc"]["generations"][generation]["head"].address
    node = head["_gc_next"].cast(head_type)
    while node and node != head:
        kind = int((node + 1).cast(object_type)["ob_type"])
        if kind not in names:
            names[kind] = (node + 1).cast(object_type)["ob_type"]["tp_name"].string()
        counts[names[kind]] = counts.get(names[kind], 0) + 1
        node = node["_gc_next"].cast(head_type)
print(f"wanted {CLASS} count={counts.get(CLASS, 0)} objects={sum(counts.values())}")  # noqa: F821
