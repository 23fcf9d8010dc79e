// SPDX-License-Identifier: Apache-2.0
//
// The leaking service in Java: the JDK's own HTTP server, and a thread that leaks when it is told to:
// one LeakedChunk after the other into a static list. See README.md for the protocol of all of them.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Executors;

public class LeakService {
	static final int CHUNK_BYTES = 65536;

	static final class LeakedChunk {
		final byte[] data = new byte[CHUNK_BYTES];
		final long number;

		LeakedChunk(long number) {
			this.number = number;
			Arrays.fill(data, (byte)(number | 1));
		}
	}

	static final List<LeakedChunk> chunks = new ArrayList<>();
	// Holds the last third of a heap and drops what is older: no leak, but a heap that fills.
	static final LeakedChunk[] ring =
		new LeakedChunk[(int)(Runtime.getRuntime().maxMemory() / 3 / CHUNK_BYTES)];
	static final List<Long> blocks = new ArrayList<>();
	static final sun.misc.Unsafe unsafe = findUnsafe();
	static volatile boolean stop;
	static volatile long count;
	static Thread leaker;

	static sun.misc.Unsafe findUnsafe() {
		try {
			var field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
			field.setAccessible(true);
			return (sun.misc.Unsafe)field.get(null);
		} catch (ReflectiveOperationException e) {
			throw new IllegalStateException(e);
		}
	}

	static void leakOne(String kind) {
		if (kind.equals("native")) {
			long block = unsafe.allocateMemory(CHUNK_BYTES);
			unsafe.setMemory(block, CHUNK_BYTES, (byte)0xA5);
			blocks.add(block);
		} else if (kind.equals("garbage")) {
			ring[(int)(count % ring.length)] = new LeakedChunk(count);
		} else {
			chunks.add(new LeakedChunk(count));
		}
	}

	static void run(String kind, int rate) {
		// A pause per chunk, not a schedule: what stood still does not hurry afterwards.
		long pause_ns = (long)(CHUNK_BYTES * 1000.0 / rate);
		try {
			while (!stop) {
				Thread.sleep(pause_ns / 1000000, (int)(pause_ns % 1000000));
				leakOne(kind);
				count++;
				System.out.println("leaked " + count + " at " + System.nanoTime());
			}
		} catch (InterruptedException e) {
			Thread.currentThread().interrupt();
		}
	}

	static String parameter(HttpExchange x, String name, String otherwise) {
		String query = x.getRequestURI().getQuery();
		if (query != null)
			for (String pair : query.split("&"))
				if (pair.startsWith(name + "="))
					return pair.substring(name.length() + 1);
		return otherwise;
	}

	static void answer(HttpExchange x, String text) throws IOException {
		byte[] bytes = text.getBytes();
		x.sendResponseHeaders(200, bytes.length);
		x.getResponseBody().write(bytes);
		x.close();
	}

	public static void main(String[] args) throws Exception {
		HttpServer server = HttpServer.create(
			new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
		server.createContext("/triggerMemoryLeak", x -> {
			String kind = parameter(x, "kind", "managed");
			int rate = Integer.parseInt(parameter(x, "rate", "50"));
			stop = false;
			leaker = new Thread(() -> run(kind, rate), "leaker");
			leaker.start();
			answer(x, "leaking\n");
		});
		server.createContext("/stop", x -> {
			stop = true;
			if (parameter(x, "free", "0").equals("1")) {
				try {
					leaker.join();
				} catch (InterruptedException e) {
					Thread.currentThread().interrupt();
				}
				chunks.clear();
				blocks.forEach(unsafe::freeMemory);
				blocks.clear();
				count = 0;
			}
			answer(x, "stopped\n");
		});
		server.createContext("/count", x -> answer(x, count + "\n"));
		server.createContext("/healthz", x -> {
			System.gc();
			answer(x, "ok\n");
		});
		server.setExecutor(Executors.newFixedThreadPool(2));
		server.start();
		System.out.println("listening on 127.0.0.1:" + server.getAddress().getPort());
	}
}
