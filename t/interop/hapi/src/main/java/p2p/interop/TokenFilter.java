/* SPDX-License-Identifier: Apache-2.0 */
/* Lets a request pass only with a Bearer token that stands in a file, one token a line. */
package p2p.interop;

import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

final class TokenFilter implements Filter {
    private static final String REFUSAL = "{\"resourceType\":\"OperationOutcome\",\"issue\":[{"
            + "\"severity\":\"error\",\"code\":\"login\",\"diagnostics\":\"Send a valid Bearer token.\"}]}";
    private final Path file;

    TokenFilter(Path file) {
        this.file = file;
    }

    @Override
    public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        HttpServletRequest http = (HttpServletRequest) request;
        if (http.getRequestURI().equals("/fhir/metadata") || known(http.getHeader("Authorization")))
            chain.doFilter(request, response);
        else
            refuse((HttpServletResponse) response);
    }

    /* The file is small and read at every request, so that a token added or taken away counts at once. */
    private boolean known(String header) throws IOException {
        if (header == null || !header.regionMatches(true, 0, "Bearer ", 0, 7))
            return false;
        String token = header.substring(7).strip();
        return !token.isEmpty()
                && Files.readAllLines(file).stream().map(String::strip).anyMatch(token::equals);
    }

    private static void refuse(HttpServletResponse response) throws IOException {
        response.setStatus(HttpServletResponse.SC_UNAUTHORIZED);
        response.setHeader("WWW-Authenticate", "Bearer error=\"invalid_token\"");
        response.setContentType("application/fhir+json;charset=UTF-8");
        response.getWriter().write(REFUSAL);
    }
}
