// What other programs are set against: a server that shows what it got and gives what it is asked.
//
// Usage: heph_interop_server [ADDRESS:PORT | unix:PATH] [FOLDER]. Prints where it listens once it
// does.
//
// With a folder it speaks https, by its chain.pem and key.pem, and asks clients for certificates by
// its ca.pem.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <expected>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/http/conditional.hpp>
#include <heph/http/cookie.hpp>
#include <heph/http/form.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/http/tls.hpp>
#include <heph/http/ws/server.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/runtime.hpp>
#include <heph/rt/timer.hpp>

#include "letters.hpp"

namespace {

namespace http = heph::http;
namespace tls = heph::rt::tls;
using heph::interop::letters;
using outcome = std::expected<void, http::error>;

// Runs every check that a page can make, and reports the outcome.
constexpr std::string_view page = R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>heph-http in a browser</title>
<pre id="log">running</pre>
<script>
const log = document.getElementById("log");
const checks = {
    async text() { return (await (await fetch("/hello")).text()) === "Hello, World!"; },
    async big() { return (await (await fetch("/bytes/1000000")).arrayBuffer()).byteLength === 1000000; },
    async chunked() { return (await (await fetch("/pieces/100")).text()).length === 1000; },
    async range() {
        const answer = await fetch("/bytes/1000", {headers: {Range: "bytes=26-28"}});
        return answer.status === 206 && (await answer.text()) === "abc";
    },
    async post() {
        const body = "x".repeat(300000);
        return (await (await fetch("/echo", {method: "POST", body})).text()) === body;
    },
    async form() {
        const body = new URLSearchParams({name: "M\u00fcller & S\u00f6hne"});
        return (await (await fetch("/form", {method: "POST", body})).text()) ===
            "M\u00fcller & S\u00f6hne";
    },
    async cookie() {
        await fetch("/cookie/set");
        return (await (await fetch("/cookie/get")).text()) === "crumbs";
    },
    async redirect() { return (await fetch("/redirect/3")).url.endsWith("/hello"); },
    async missing() { return (await fetch("/no/such")).status === 404; },
    async head() {
        const answer = await fetch("/bytes/1000", {method: "HEAD"});
        return answer.headers.get("content-length") === "1000";
    },
    async websocket() {
        const socket = new WebSocket("ws://" + location.host + "/ws/echo", ["echo.v1", "other"]);
        const next = () => new Promise((resolve, reject) => {
            socket.onmessage = event => resolve(event.data);
            socket.onerror = () => reject(new Error("WebSocket"));
        });
        await new Promise((resolve, reject) => {
            socket.onopen = resolve;
            socket.onerror = () => reject(new Error("no handshake"));
        });
        const text = "\u00e4\u4e16\ud83d\ude00".repeat(20000);
        const back = next();
        socket.send(text);
        const same = (await back) === text;
        const closed = new Promise(resolve => { socket.onclose = resolve; });
        socket.close(4000, "done");
        const end = await closed;
        return same && socket.protocol === "echo.v1" && end.wasClean && end.code === 4000 &&
            socket.extensions.startsWith("permessage-deflate");
    },
    async many() {
        const all = Array.from({length: 50}, (_, i) => fetch("/bytes/" + i));
        const sizes = await Promise.all(all.map(async a => (await (await a).text()).length));
        return sizes.every((size, i) => size === i);
    },
};
(async () => {
    const lines = [];
    for (const [name, check] of Object.entries(checks)) {
        let passed = false;
        try { passed = await check(); } catch (error) { lines.push(String(error)); }
        lines.push(name + ": " + (passed ? "passed" : "FAILED"));
    }
    lines.push("finished");
    log.textContent = lines.join("\n");
    await fetch("/report", {method: "POST", body: log.textContent});
})();
</script>
</html>
)";

std::uint64_t number(const http::request& request, std::string_view name) {
    const std::string_view text = request.param(name);
    std::uint64_t value = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

http::response bytes(http::request& request) {
    const auto size = std::min<std::uint64_t>(number(request, "size"), 64U << 20U);
    auto full = http::response::bytes(letters(size), "application/octet-stream");
    full.set_header("ETag", http::entity_tag::of_content(full.body()).to_string());
    return http::apply_conditions(request, std::move(full));
}

heph::task<outcome> write_pieces(http::body_writer& to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto written = co_await to.write("ten bytes\n");
        if (!written) { co_return written; }
    }
    co_return outcome();
}

http::response pieces(http::request& request) {
    const std::uint64_t count = number(request, "count");
    return http::response::stream(
        "text/plain", [count](http::body_writer& to) { return write_pieces(to, count); });
}

heph::task<outcome> copy(http::body_reader& from, http::body_writer& to) {
    for (;;) {
        const auto piece = co_await from.next();
        if (!piece) { co_return std::unexpected(piece.error()); }
        if (piece->empty()) { co_return outcome(); }
        const auto written = co_await to.write(*piece);
        if (!written) { co_return written; }
    }
}

http::response echo(http::request& request) {
    request.set_body_limit(1'000'000'000);
    return http::response::stream(
        "application/octet-stream",
        [from = &request.body()](http::body_writer& to) { return copy(*from, to); });
}

heph::task<http::response> length(http::request& request) {
    std::uint64_t total = 0;
    request.set_body_limit(1'000'000'000);
    for (;;) {
        const auto piece = co_await request.body().next();
        if (!piece) { co_return http::response::problem(piece.error()); }
        if (piece->empty()) { break; }
        total += piece->size();
    }
    co_return http::response::text(std::to_string(total));
}

heph::task<http::response> form(http::request& request) {
    const auto body = co_await request.read_body();
    if (!body) { co_return http::response::problem(body.error()); }
    const auto fields = http::form::parse(*body);
    if (!fields) { co_return http::response::problem(http::status::bad_request); }
    co_return http::response::text(std::string(fields->get("name").value_or("")));
}

// What the request looked like from here, a line each.
http::response show(http::request& request) {
    std::string text = request.version() == http::version::http_1_0 ? "1.0\n" : "1.1\n";
    for (const auto& [name, value] : request.headers()) {
        text.append(name).append(": ").append(value).append("\n");
    }
    return http::response::text(std::move(text));
}

// What the handshake has settled.
http::response session(http::request& request) {
    const auto settled = request.secure_session();
    if (!settled) { return http::response::text("plain"); }
    const auto shown = [](const std::string& text) { return text.empty() ? "-" : text; };
    return http::response::text(settled->version + " " + settled->cipher + " " +
                                shown(settled->protocol) + " " + shown(settled->server_name) + " " +
                                (settled->peer ? settled->peer->subject : "-"));
}

http::response set_cookie(http::request& /*request*/) {
    http::set_cookie cookie;
    cookie.name = "jar";
    cookie.value = "crumbs";
    cookie.path = "/";
    auto answer = http::response::text("set");
    if (const auto line = cookie.to_string()) { answer.set_header("Set-Cookie", *line); }
    return answer;
}

http::response get_cookie(http::request& request) {
    const auto found = http::find_cookie(request.headers(), "jar");
    return http::response::text(std::string(found.value_or("none")));
}

http::response redirect(http::request& request) {
    const std::uint64_t left = number(request, "left");
    auto answer = http::response::empty(http::status::found);
    answer.set_header("Location", left == 0 ? "/hello" : "/redirect/" + std::to_string(left - 1));
    return answer;
}

heph::task<http::response> late(http::request& /*request*/) {
    co_await heph::rt::timer(std::chrono::milliseconds(50));
    co_return http::response::text("late");
}

heph::task<> echo_messages(http::ws::socket& socket) {
    for (;;) {
        auto message = co_await socket.receive();
        if (!message) { co_return; }
        const bool sent = co_await socket.send(std::move(*message));
        if (!sent) { co_return; }
    }
}

http::response web_socket(http::request& request) {
    http::ws::accept_options how;
    how.subprotocols = {"echo.v1"};
    how.deflate.emplace();
    how.socket.limits.message_bytes_max = std::size_t{16} << 20U;
    return http::ws::accept(request, echo_messages, std::move(how));
}

std::string reported;  // There is one worker.

heph::task<http::response> take_report(http::request& request) {
    auto body = co_await request.read_body();
    if (!body) { co_return http::response::problem(body.error()); }
    reported = std::move(*body);
    co_return http::response::empty();
}

http::router routes() {
    http::router router;
    router.get("/", [](http::request&) { return http::response::html(std::string(page)); })
        .get("/hello", [](http::request&) { return http::response::text("Hello, World!"); })
        .get("/bytes/{size}", bytes)
        .get("/pieces/{count}", pieces)
        .get("/late", late)
        .get("/ws/echo", web_socket)
        .get("/show", show)
        .get("/session", session)
        .get("/cookie/set", set_cookie)
        .get("/cookie/get", get_cookie)
        .get("/redirect/{left}", redirect)
        .post("/echo", echo)
        .put("/echo", echo)
        .post("/length", length)
        .put("/length", length)
        .post("/form", form)
        .post("/report", take_report)
        .get("/report", [](http::request&) { return http::response::text(reported); });
    return router;
}

std::expected<std::shared_ptr<const http::server_security>, heph::rt::error> security_of(
    const std::string& folder) {
    auto own = tls::certificate::load(folder + "/chain.pem", folder + "/key.pem");
    if (!own) { return std::unexpected(own.error()); }
    auto authorities = tls::trust_store::load(folder + "/ca.pem");
    if (!authorities) { return std::unexpected(authorities.error()); }
    tls::server_config config(std::move(*own));
    config.clients = tls::client_certificates::optional;
    config.client_authorities = std::move(*authorities);
    auto context = http::make_server_tls(std::move(config));
    if (!context) { return std::unexpected(context.error()); }
    return http::secured_by(std::move(*context));
}

}  // namespace

int main(int count, char** arguments) {
    http::server_options options;
    options.address = count > 1 ? arguments[1] : "127.0.0.1:0";
    if (count > 2) {
        auto secured = security_of(arguments[2]);
        if (!secured) { return heph::rt::report(secured.error()); }
        options.tls = std::move(*secured);
    }
    auto runtime = heph::rt::setup{}.name("interop").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    const auto server = http::server::open(routes(), options);
    if (!server) { return heph::rt::report(heph::rt::error(server.error(), "cannot listen")); }
    runtime->run_on_workers([shared = *server](heph::rt::worker& worker) { shared.start(worker); });
    std::cout << server->local_address() << std::endl;
    return heph::rt::report(runtime->start());
}
