/* SPDX-License-Identifier: Apache-2.0 */
/* Starts one HAPI FHIR R4 server on the loopback: --port N [--tokens FILE] [--resthooks true]; --once true ends it once up. */
package p2p.interop;

import java.nio.file.Path;
import java.util.EnumSet;
import jakarta.servlet.DispatcherType;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.ServerConnector;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

public final class Server {
    private Server() {
    }

    /* Whatever goes wrong must end the process: threads that are no daemons would keep it alive. */
    public static void main(String[] args) {
        try {
            run(args);
        } catch (Throwable failure) {
            System.out.println("cannot start: " + failure);
            failure.printStackTrace(System.out);
            Runtime.getRuntime().halt(1);
        }
    }

    private static void run(String[] args) throws Exception {
        int port = 0;
        Path tokens = null;
        boolean once = false;
        for (int i = 0; i + 1 < args.length; i += 2) {
            switch (args[i]) {
                case "--port" -> port = Integer.parseInt(args[i + 1]);
                case "--tokens" -> tokens = Path.of(args[i + 1]);
                case "--resthooks" -> System.setProperty(Config.REST_HOOKS, args[i + 1]);
                case "--once" -> once = Boolean.parseBoolean(args[i + 1]);
                default -> throw new IllegalArgumentException("unknown option " + args[i]);
            }
        }
        org.eclipse.jetty.server.Server jetty = new org.eclipse.jetty.server.Server();
        ServerConnector connector = bind(jetty, port);
        var context = new AnnotationConfigApplicationContext(Config.class);
        jetty.setHandler(handler(context, tokens));
        jetty.start();
        System.out.println("ready on port " + connector.getLocalPort());
        if (once)
            System.exit(0);
    }

    /* The port is taken before the slow part, so that a port in use is known at once. */
    private static ServerConnector bind(org.eclipse.jetty.server.Server jetty, int port) throws Exception {
        HttpConfiguration http = new HttpConfiguration();
        http.setSendServerVersion(false);
        http.setRequestHeaderSize(64 * 1024);
        ServerConnector connector = new ServerConnector(jetty, 1, 1, new HttpConnectionFactory(http));
        connector.setHost("127.0.0.1");
        connector.setPort(port);
        connector.open();
        jetty.addConnector(connector);
        return connector;
    }

    private static ServletContextHandler handler(AnnotationConfigApplicationContext context, Path tokens) {
        ServletContextHandler handler = new ServletContextHandler();
        handler.addServlet(new ServletHolder(new FhirServlet(context)), "/fhir/*");
        if (tokens != null) {
            FilterHolder filter = new FilterHolder(new TokenFilter(tokens));
            handler.addFilter(filter, "/*", EnumSet.of(DispatcherType.REQUEST));
        }
        return handler;
    }
}
