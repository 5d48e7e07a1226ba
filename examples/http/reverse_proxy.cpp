// Passes requests on to another server, and its answers back, piece by piece both ways: a slow
// side slows the other down, and nothing is kept whole in memory.
//
//     reverse_proxy ADDRESS:PORT http://ORIGIN:PORT
//
// Interim answers (1xx) and WebSocket pass as well. A client that goes, or ends its side of the
// connection, ends its request to the origin. A path with an encoded slash (%2F) is refused with
// 400, as the router does with any: servers differ in what that is. In a target, characters that no
// URI has are percent-encoded. TRACE is 405, a method that is not named below 501, and `OPTIONS *`
// is answered for the proxy itself.

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/middleware/drop_when_gone.hpp>
#include <heph/http/router.hpp>
#include <heph/http/server.hpp>
#include <heph/http/upgrade.hpp>
#include <heph/http/url.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/rt/runtime.hpp>

namespace http = heph::http;
namespace rt = heph::rt;

namespace {

/// What all requests share. There is one worker here, and so one client.
struct proxy {
    http::url origin;
    std::optional<http::client> client;
};

using produced = std::expected<void, http::error>;

// Tells whether a field says something about one connection only (RFC 9110, 7.6.1).
bool is_of_connection(const http::headers& fields, std::string_view name) {
    constexpr std::array<std::string_view, 9> known{"Connection",
                                                    "Keep-Alive",
                                                    "Proxy-Connection",
                                                    "Proxy-Authorization",
                                                    "Transfer-Encoding",
                                                    "TE",
                                                    "Upgrade",
                                                    "Content-Length",
                                                    "Expect"};
    return fields.has_token("Connection", name) || std::ranges::any_of(known, [name](auto each) {
               return http::equal_ignoring_case(each, name);
           });
}

void copy_fields(const http::headers& from, http::headers& to) {
    for (const http::header field : from) {
        if (!is_of_connection(from, field.name)) { to.append(field.name, field.value); }
    }
}

// Tells whether a field says on whose behalf the request comes. Only this proxy knows that here:
// what a client says of itself counts for nothing, under none of these names.
bool tells_of_client(std::string_view name) {
    constexpr std::string_view forwarded = "X-Forwarded-";
    return http::equal_ignoring_case(name.substr(0, forwarded.size()), forwarded) ||
           http::equal_ignoring_case(name, "Forwarded") ||
           http::equal_ignoring_case(name, "X-Real-IP");
}

// Tells whether a client may tell the origin by this name. Programs behind CGI and its kin cannot
// tell `X_Forwarded_For` from the field that only this proxy writes, nor `Content_Length`.
bool may_pass_up(std::string_view name) {
    return !tells_of_client(name) && name.find('_') == std::string_view::npos;
}

template <typename May>
void copy_trailers(const http::headers& from, http::body_writer& to, May may_pass) {
    for (const http::header field : from) {
        if (may_pass(field.name) && !is_of_connection(from, field.name)) {
            (void)to.add_trailer(field.name, field.value);
        }
    }
}

// The version that a message came by (RFC 9110, 7.6.3).
std::string_view via(http::version received) {
    return received == http::version::http_1_0 ? "1.0 heph" : "1.1 heph";
}

/// What was wrong with a client's body, told to whoever waits for the origin. It outlives both, as
/// the body may still be on its way while the origin answers.
using client_fault = std::shared_ptr<std::optional<http::error>>;

heph::task<produced> pass_up(http::request* from, client_fault fault, http::body_writer* to) {
    for (;;) {
        const auto piece = co_await from->body().next();
        if (!piece) {
            *fault = piece.error();
            co_return std::unexpected(piece.error());
        }
        if (piece->empty()) {
            copy_trailers(from->trailers(), *to, may_pass_up);
            co_return produced();
        }
        const auto written = co_await to->write(*piece);
        if (!written) { co_return written; }
    }
}

heph::task<produced> copy_body(http::client_response* from, http::body_writer* to) {
    for (;;) {
        const auto piece = co_await from->next();
        if (!piece) { co_return std::unexpected(http::error::handler_failed); }
        if (piece->empty()) {
            copy_trailers(from->trailers(), *to, [](std::string_view) { return true; });
            co_return produced();
        }
        const auto written = co_await to->write(*piece);
        if (!written) { co_return written; }
    }
}

// An origin may say nothing for long, of events for example, and the client be gone meanwhile.
heph::task<produced> pass_down(std::shared_ptr<http::client_response> from, http::body_writer* to) {
    auto first = co_await heph::either(copy_body(from.get(), to), to->gone());
    if (auto* const copied = std::get_if<0>(&first)) { co_return std::move(*copied); }
    co_return std::unexpected(http::error::connection_lost);
}

// How many servers OPTIONS may still go through (RFC 9110, 7.6.2).
std::optional<std::uint32_t> hops_left(const http::request& asked) {
    const auto text = asked.header("Max-Forwards");
    std::uint32_t hops = 0;
    if (!text || asked.method() != http::method::options ||
        std::from_chars(text->data(), text->data() + text->size(), hops).ec != std::errc()) {
        return std::nullopt;
    }
    return hops;
}

http::client_request request_to(const http::url& origin, http::request& asked,
                                const client_fault& fault) {
    std::string url = origin.origin() + std::string(asked.path());
    // An empty query is not the same as none (RFC 3986, 6.2.3).
    if (asked.target().find('?') != std::string_view::npos) {
        url.append("?").append(asked.query());
    }
    http::client_request made(asked.method_name(), url);
    copy_fields(asked.headers(), made.headers());
    (void)made.headers().remove("Host");  // The origin's name is set by the client.
    for (const http::header field : asked.headers()) {
        if (!may_pass_up(field.name)) { (void)made.headers().remove(field.name); }
    }
    // Of `GET http://name/`, the name there, and not the one in `Host` (RFC 9112, 3.2.2).
    const std::string_view authority = asked.head().authority();
    if (!authority.empty()) { made.set_header("X-Forwarded-Host", authority); }
    if (const auto peer = asked.peer()) {
        made.set_header("X-Forwarded-For", peer->address_string());
    }
    made.set_header("X-Forwarded-Proto", asked.is_secure() ? "https" : "http");
    made.headers().append("Via", via(asked.version()));
    if (const auto hops = hops_left(asked)) {
        made.set_header("Max-Forwards", std::to_string(std::max(*hops, 1U) - 1));
    }
    // Others, such as h2c, would be a way around what stands before the origin.
    if (asked.version() == http::version::http_1_1 &&
        asked.headers().has_token("Upgrade", "websocket")) {
        made.set_header("Upgrade", "websocket");
    }
    if (asked.head().framing() != http::body_framing::none) {
        made.set_stream(
            [&asked, fault](http::body_writer& to) { return pass_up(&asked, fault, &to); },
            asked.head().content_length());
    }
    return made;
}

// To HEAD it is the length that GET's answer would have, and no body follows.
std::optional<std::uint64_t> told_length(const http::client_response& answer) {
    const auto text = answer.header("Content-Length");
    std::uint64_t length = 0;
    if (!text ||
        std::from_chars(text->data(), text->data() + text->size(), length).ec != std::errc()) {
        return std::nullopt;
    }
    return length;
}

/// An interim answer that waits to be passed on.
struct interim {
    interim(http::status code, http::headers all) noexcept : status(code), fields(std::move(all)) {}
    http::status status;
    http::headers fields;
};

// More interim answers than the client takes meanwhile are left out, as anybody may.
constexpr std::size_t interims_max = 4;

// Sends a request, and passes on what comes ahead of the answer.
heph::task<std::expected<http::client_response, std::error_code>> ask_origin(
    http::client client, http::client_request request, http::request* asked) {
    auto [to, interims] = heph::inbox::channel<interim>(interims_max);
    request.on_interim([&to](const http::response_head& head) {
        http::headers fields;
        copy_fields(head.headers(), fields);
        (void)to.try_send(interim(head.status(), std::move(fields)));
    });
    auto sending = client.send(std::move(request));
    std::optional<std::expected<http::client_response, std::error_code>> answer;
    while (!answer) {
        auto next = interims.recv();
        auto first = co_await heph::either(next, sending);
        if (first.index() == 1) {
            answer.emplace(std::get<1>(std::move(first)));
        } else if (const std::optional<interim>& early = std::get<0>(first)) {
            // A client that has gone is noticed by the answer.
            (void)co_await asked->send_interim(early->status, early->fields);
        }
    }
    // What came at once with the answer.
    while (auto early = interims.try_recv()) {
        (void)co_await asked->send_interim(early->status, early->fields);
    }
    co_return std::move(*answer);
}

heph::task<void> copy_bytes(http::upgraded_stream* from, http::upgraded_stream* to) {
    for (;;) {
        const auto bytes = co_await from->read();
        if (!bytes || bytes->empty()) { co_return; }
        const auto written = co_await to->write(*bytes);
        if (!written) { co_return; }
    }
}

// Until one of them ends, which ends the other.
heph::task<void> connect(std::shared_ptr<http::client_response> origin,
                         http::upgraded_stream* client) {
    http::upgraded_stream* const up = origin->upgraded();
    auto first = co_await heph::either(copy_bytes(client, up), copy_bytes(up, client));
    (void)first;
}

http::response pass_upgrade(std::shared_ptr<http::client_response> from) {
    const std::string protocol(from->header("Upgrade").value_or(""));
    auto answer = http::response::upgrade(
        protocol, [from](http::upgraded_stream& client) { return connect(from, &client); });
    copy_fields(from->headers(), answer.headers());
    return answer;
}

// What a client is told of what went wrong with the origin.
http::status status_of(std::error_code failure) {
    if (failure == std::errc::timed_out) { return http::status::gateway_timeout; }
    if (failure == http::make_error_code(http::error::no_free_connection)) {
        return http::status::service_unavailable;
    }
    return http::status::bad_gateway;
}

heph::task<http::response> pass_on(std::shared_ptr<proxy> with, http::request& asked) {
    if (hops_left(asked) == 0U) { co_return http::response::empty(http::status::no_content); }
    const auto fault = std::make_shared<std::optional<http::error>>();
    auto sending = ask_origin(*with->client, request_to(with->origin, asked, fault), &asked);
    auto got = co_await sending;
    if (!got && *fault) { co_return http::response::problem(**fault); }  // 400, 408 or 413
    if (!got) {
        std::cerr << with->origin.to_string() << ": " << got.error().message() << '\n';
        co_return http::response::problem(status_of(got.error()));
    }
    const auto from = std::make_shared<http::client_response>(std::move(*got));
    if (from->upgraded() != nullptr) { co_return pass_upgrade(from); }
    http::response answer(from->status());
    copy_fields(from->headers(), answer.headers());
    answer.headers().append("Via", via(from->head().version()));
    // A 426 has to say which protocols there are (RFC 9110, 15.5.22).
    const auto others = from->header("Upgrade");
    if (from->status() == http::status::upgrade_required && others) {
        answer.set_header("Upgrade", *others);
    }
    const auto length = told_length(*from);
    answer.set_stream([from](http::body_writer& to) { return pass_down(from, &to); });
    if (length) { answer.set_content_length(*length); }
    co_return answer;
}

}  // namespace

int main(int count, char** arguments) {
    const auto origin = http::url::parse(count == 3 ? arguments[2] : "");
    if (!origin) {
        std::cerr << "usage: reverse_proxy ADDRESS:PORT http://ORIGIN:PORT\n";
        return 2;
    }
    const auto shared = std::make_shared<proxy>();
    shared->origin = *origin;
    http::router routes;
    const http::handler passing = http::with(
        http::drop_when_gone(), [shared](http::request& asked) { return pass_on(shared, asked); });
    for (std::size_t i = 0; i < http::method_count; ++i) {
        const auto method = static_cast<http::method>(i);
        if (method == http::method::connect || method == http::method::trace) { continue; }
        routes.route(method, "/{path...}", passing);
    }
    for (const char* name : {"QUERY", "PURGE", "BAN", "SUBSCRIBE", "UNSUBSCRIBE", "NOTIFY"}) {
        routes.route(name, "/{path...}", passing);
    }
    http::server_options options;
    options.address = arguments[1];
    options.limits.body_bytes_max =
        1'000'000'000;  // Nothing is kept: the origin has its own limit.
    auto runtime = rt::setup{}.name("proxy").threads(1).build();
    if (!runtime) { return rt::report(runtime.error()); }
    const auto server = http::server::open(std::move(routes), options);
    if (!server) { return rt::report(rt::error(server.error(), server.error().message())); }
    std::cout << "http://" << server->local_address() << std::endl;
    runtime->run_on_workers([&](rt::worker& worker) {
        http::client_options asks;
        asks.user_agent = "";  // The client's own passes.
        // A client has one request at a time, so that none waits for another, and not for one whose
        // answer lasts for hours either.
        asks.connections_per_origin_max = options.limits.connections_max;
        // Events may be rare; a client that goes meanwhile is noticed.
        asks.pause_timeout = std::chrono::minutes(5);
        shared->client.emplace(worker, asks);
        server->start(worker);
    });
    return rt::report(runtime->start());
}
