// SPDX-License-Identifier: Apache-2.0
//
// What ClrMD, .NET's own library for dumps, finds in a core: heap-reader CORE TYPE prints one line a
// fact. A process that was stopped in the middle of a collection has holes in its heap that have to
// be stepped over (EnumerateObjects(carefully)).
//
//   heap walkable=yes objects=N         type NAME count=N bytes=N
//   field NAME=VALUE (of the static class given as third argument)
//   root KIND -> TYPE -> TYPE           thread ID frames=N unknown=N top=METHOD
using Microsoft.Diagnostics.Runtime;

if (args.Length < 2)
{
    Console.Error.WriteLine("usage: heap-reader CORE TYPE [STATIC-CLASS FIELD]");
    return 2;
}

using DataTarget target = DataTarget.LoadDump(args[0]);
ClrInfo info = target.ClrVersions.Single();
string dac = Environment.GetEnvironmentVariable("DAC") ?? // for a single file, which has none beside it
    Path.Combine(Path.GetDirectoryName(info.ModuleInfo.FileName)!, "libmscordaccore.so");
using ClrRuntime runtime = File.Exists(dac) ? info.CreateRuntime(dac, true) : info.CreateRuntime();
ClrHeap heap = runtime.Heap;
long objects = 0;
var counts = new Dictionary<string, (long Count, ulong Bytes)>();
ClrObject one = default;

foreach (ClrSegment segment in heap.Segments)
{
    foreach (ClrObject o in segment.EnumerateObjects(true))
    {
        if (!o.IsValid || o.IsFree || o.Type?.Name is not { } name)
            continue;
        objects++;
        (long count, ulong bytes) = counts.GetValueOrDefault(name);
        counts[name] = (count + 1, bytes + o.Size);
        if (name == args[1])
            one = o;
    }
}
Console.WriteLine($"heap walkable={(heap.CanWalkHeap ? "yes" : "no")} objects={objects}");
foreach (var (name, value) in counts.OrderByDescending(c => c.Value.Bytes).Take(5))
    Console.WriteLine($"type {name} count={value.Count} bytes={value.Bytes}");
if (counts.TryGetValue(args[1], out var wanted))
    Console.WriteLine($"wanted {args[1]} count={wanted.Count} bytes={wanted.Bytes}");

if (args.Length >= 4)
{
    ClrType? holder = null;
    foreach (ClrModule module in runtime.EnumerateModules())
        holder ??= module.GetTypeByName(args[2]);
    ClrStaticField? field = holder?.GetStaticFieldByName(args[3]);
    if (field is not null)
        Console.WriteLine($"field {args[3]}={field.Read<long>(runtime.AppDomains[0])}");
}

// From the roots down to one of the leaked objects, by the shortest way. Static fields of reference
// type live in arrays of the pinned heap, which handles keep alive. With the server GC there is a table
// of handles for each processor, while ClrMD reads as many as there are heaps at the moment (one, where
// the GC adapts their number), so those arrays are taken as roots by themselves.
if (one.IsValid)
{
    var from = new Dictionary<ulong, ulong>();
    var queue = new Queue<ClrObject>();
    var roots = new Dictionary<ulong, string>();
    foreach (ClrRoot root in heap.EnumerateRoots())
    {
        if (root.Object.IsValid && root.RootKind != ClrRootKind.Stack && from.TryAdd(root.Object.Address, 0))
        {
            queue.Enqueue(root.Object);
            roots[root.Object.Address] = root.RootKind.ToString();
        }
    }
    foreach (ClrSegment segment in heap.Segments.Where(s => s.Kind == GCSegmentKind.Pinned))
    {
        foreach (ClrObject o in segment.EnumerateObjects(true))
        {
            if (o.IsValid && o.Type?.Name == "System.Object[]" && from.TryAdd(o.Address, 0))
            {
                queue.Enqueue(o);
                roots[o.Address] = "StaticFields";
            }
        }
    }
    while (queue.TryDequeue(out ClrObject o) && o.Type?.Name != args[1])
    {
        foreach (ClrObject child in o.EnumerateReferences(true))
            if (child.IsValid && from.TryAdd(child.Address, o.Address))
            {
                queue.Enqueue(child);
                if (child.Type?.Name == args[1])
                    one = child;
            }
    }
    if (from.ContainsKey(one.Address))
    {
        string way = "";
        ulong at = one.Address;
        for (; from[at] != 0; at = from[at])
            way = " -> " + heap.GetObject(at).Type?.Name + way;
        Console.WriteLine($"root {roots[at]} {heap.GetObject(at).Type?.Name}{way}");
    }
}

foreach (ClrThread thread in runtime.Threads.Where(t => t.IsAlive))
{
    var frames = thread.EnumerateStackTrace().ToList();
    int unknown = frames.Count(f => f.Kind == ClrStackFrameKind.ManagedMethod && f.Method is null);
    string top = frames.FirstOrDefault(f => f.Method is not null)?.Method?.Signature ?? "-";
    Console.WriteLine($"thread {thread.OSThreadId} frames={frames.Count} unknown={unknown} top={top}");
}
return wanted.Count > 0 ? 0 : 1;
