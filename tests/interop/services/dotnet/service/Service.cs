// SPDX-License-Identifier: Apache-2.0
//
// The leaking service in C#: Kestrel on a port of its own choice, and a thread that leaks when it is
// told to. What it leaks is one LeakedChunk of CHUNK bytes after the other, in a static list, so that
// a reader of the heap has a type, a count and a root to find. Each chunk is announced in a line of
// its own ("leaked N at T", T of CLOCK_MONOTONIC in ns) once it can be reached: what the program says
// that it leaked.
//
//   GET /triggerMemoryLeak?kind=managed|native|untouched&rate=MB_PER_S
//   GET /stop?free=1     GET /count     GET /healthz (collects the heap, then answers)
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

var builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.ClearProviders();
builder.WebHost.UseUrls("http://127.0.0.1:0");
var app = builder.Build();

app.MapGet("/triggerMemoryLeak", (string? kind, int? rate) =>
{
    Leak.Start(kind ?? "managed", rate ?? 50);
    return "leaking\n";
});
app.MapGet("/stop", (int? free) =>
{
    Leak.Stop(free == 1);
    return "stopped\n";
});
app.MapGet("/count", () => Leak.Count.ToString(CultureInfo.InvariantCulture) + "\n");
app.MapGet("/healthz", () =>
{
    GC.Collect();
    GC.WaitForPendingFinalizers();
    return "ok collections=" + GC.CollectionCount(2).ToString(CultureInfo.InvariantCulture) + "\n";
});

await app.StartAsync();
Console.WriteLine("listening on " + app.Urls.First().Replace("http://", "", StringComparison.Ordinal));
await app.WaitForShutdownAsync();

internal sealed class LeakedChunk
{
    public const int Bytes = 65536;
    public readonly byte[] Data = new byte[Bytes];
    public readonly long Number;

    public LeakedChunk(long number, bool touch)
    {
        Number = number;
        if (touch)
            Array.Fill(Data, (byte)(number | 1));
    }
}

internal static class Leak
{
    public static long Count;
    private static readonly List<LeakedChunk> Chunks = [];
    private static readonly List<IntPtr> Blocks = [];
    private static readonly List<byte[]> Untouched = [];
    private static volatile bool stop;
    private static Thread? thread;

    public static void Start(string kind, int megabytesPerSecond)
    {
        if (thread is { IsAlive: true })
            return;
        stop = false;
        thread = new Thread(() => Run(kind, megabytesPerSecond)) { Name = "leaker", IsBackground = true };
        thread.Start();
    }

    public static void Stop(bool free)
    {
        stop = true;
        thread?.Join();
        if (!free)
            return;
        Chunks.Clear();
        Untouched.Clear();
        foreach (IntPtr block in Blocks)
            Marshal.FreeHGlobal(block);
        Blocks.Clear();
        Count = 0;
    }

    private static void Run(string kind, int megabytesPerSecond)
    {
        // A pause per chunk, not a schedule: what stood still does not hurry afterwards.
        var pause = TimeSpan.FromSeconds(LeakedChunk.Bytes / (megabytesPerSecond * 1e6));

        while (!stop)
        {
            Thread.Sleep(pause);
            One(kind);
            Count++;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"leaked {Count} at {Stopwatch.GetTimestamp()}"));
        }
    }

    private static unsafe void One(string kind)
    {
        if (kind == "native")
        {
            IntPtr block = Marshal.AllocHGlobal(LeakedChunk.Bytes);
            new Span<byte>((void*)block, LeakedChunk.Bytes).Fill(0xA5);
            Blocks.Add(block);
        }
        else if (kind == "untouched")
        {
            Untouched.Add(GC.AllocateUninitializedArray<byte>(LeakedChunk.Bytes * 16));
        }
        else
        {
            Chunks.Add(new LeakedChunk(Count, touch: true));
        }
    }
}
