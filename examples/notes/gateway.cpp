#include "gateway.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/http/conditional.hpp>

#include "note_id.hpp"
#include "note_tag.hpp"
#include "page.hpp"

namespace notes {

namespace http = heph::http;
using http::status;

namespace {

http::response unavailable(std::string_view why) {
    auto answer = http::response::problem(status::service_unavailable, why);
    answer.set_header("Retry-After", "1");
    return answer;
}

http::response bad_request(std::string_view why) {
    return http::response::problem(status::bad_request, why);
}

http::response answer_to(const change_reply& reply) {
    switch (reply.outcome) {
        case change_outcome::created: return http::response::empty(status::created);
        case change_outcome::replaced:
        case change_outcome::removed: return http::response::empty(status::no_content);
        case change_outcome::absent:
            return http::response::problem(status::not_found, "there is no note by this id");
        case change_outcome::refused: return bad_request(reply.detail);
        case change_outcome::full:
            return http::response::problem(status::insufficient_storage, reply.detail);
        case change_outcome::unmet: return http::response::problem(status::precondition_failed);
        case change_outcome::failed: break;
    }
    return http::response::problem(status::internal_server_error,
                                   "the disk failed: " + reply.detail);
}

// A note may hold anything, a page with a script for one: it must not act in our name.
void confine(http::response& answer) {
    answer.set_header("X-Content-Type-Options", "nosniff");
    answer.set_header("Content-Security-Policy", "sandbox; default-src 'none'");
    answer.set_header("Cache-Control", "no-store");
}

http::response front_page(http::request& /*request*/) {
    auto answer = http::response::html(std::string(page()));
    answer.set_header("Content-Security-Policy",
                      "default-src 'none'; connect-src 'self'; img-src data:; "
                      "script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; "
                      "form-action 'none'; frame-ancestors 'none'");
    answer.set_header("X-Content-Type-Options", "nosniff");
    return answer;
}

http::response hello(http::request& /*request*/) {
    return http::response::bytes("Hello, World!", "text/plain");
}

heph::task<std::expected<void, http::error>> copy_body(http::body_reader& from,
                                                       http::body_writer& to) {
    for (;;) {
        auto piece = co_await from.next();
        if (!piece) { co_return std::unexpected(piece.error()); }
        if (piece->empty()) { co_return {}; }
        auto written = co_await to.write(*piece);
        if (!written) { co_return std::unexpected(written.error()); }
    }
}

http::response echo(http::request& request) {
    // Nothing of it is kept, so that it may be of any length.
    request.set_body_limit(std::numeric_limits<std::uint64_t>::max());
    const std::string type(request.header("content-type").value_or("application/octet-stream"));
    // The server keeps the request until the response is sent.
    auto answer = http::response::stream(
        type, [from = &request.body()](http::body_writer& to) { return copy_body(*from, to); });
    confine(answer);
    if (const auto length = request.head().content_length()) { answer.set_content_length(*length); }
    return answer;
}

std::string lines_of(const std::vector<std::string>& ids) {
    std::string text;
    for (const std::string& id : ids) {
        text += id;
        text += '\n';
    }
    return text;
}

// The values of a field, in their order.
std::vector<std::string> values_of(const http::request& request, std::string_view name) {
    std::vector<std::string> values;
    for (const http::header each : request.headers()) {
        if (http::equal_ignoring_case(each.name, name)) { values.emplace_back(each.value); }
    }
    return values;
}

// Says why a note cannot be what the body of a request is, or nothing.
std::optional<http::response> refuse_content(const http::request& request) {
    // A part is no note (RFC 9110, 14.5), and nobody would learn of a coding (15.5.16).
    if (request.header("Content-Range")) { return bad_request("a note is written as a whole"); }
    if (request.header("Content-Encoding")) {
        auto answer = http::response::problem(status::unsupported_media_type,
                                              "a note is written without a content coding");
        answer.set_header("Accept-Encoding", "identity");
        return answer;
    }
    return std::nullopt;
}

// The list as it stands: a page of each store that was fetched before the answer began.
struct first_pages {
    std::vector<std::string> stores;
    std::vector<list_reply> pages;
};

heph::task<std::expected<void, http::error>> write_list(const gateway& through,
                                                        const first_pages& first,
                                                        http::body_writer& to) {
    for (std::size_t at = 0; at < first.stores.size(); ++at) {
        list_reply page = first.pages[at];
        for (;;) {
            const std::string text = lines_of(page.ids);
            auto written = co_await to.write(text);
            if (!written) { co_return std::unexpected(written.error()); }
            if (page.is_last || page.ids.empty()) { break; }
            auto next = co_await through.list_page(first.stores[at], page.ids.back());
            // Too late for a status: the connection is cut, which no client takes for the end.
            if (!next) { co_return std::unexpected(http::error::handler_failed); }
            page = std::move(*next);
        }
    }
    co_return {};
}

}  // namespace

heph::task<http::response> gateway::get(http::request& request) const {
    get_note asked;
    asked.id = request.param("id");
    if (const char* why = why_bad_id(asked.id)) { co_return bad_request(why); }
    std::string store = stores_->store_of(asked.id);  // Before `asked` is moved from.
    auto asking = stores_->ask(std::move(store), std::move(asked));
    auto reply = co_await asking;
    if (!reply) { co_return unavailable(reply.error()); }
    if (!reply->found) {
        co_return http::response::problem(status::not_found, "there is no note by this id");
    }
    const std::string tag = tag_of(reply->content_type, reply->body).to_string();
    auto answer = http::response::bytes(std::move(reply->body), reply->content_type);
    answer.set_header("ETag", tag);
    confine(answer);
    co_return http::apply_conditions(request, std::move(answer));
}

heph::task<http::response> gateway::put(http::request& request) const {
    put_note asked;
    asked.id = request.param("id");
    if (const char* why = why_bad_id(asked.id)) { co_return bad_request(why); }
    asked.content_type = request.header("content-type").value_or("application/octet-stream");
    if (asked.content_type.size() > content_type_bytes_max) {
        co_return bad_request("the content type is longer than 256 bytes");
    }
    if (auto refused = refuse_content(request)) { co_return std::move(*refused); }
    auto body = co_await request.read_body(body_bytes_max);
    if (!body) { co_return http::response::problem(body.error()); }
    asked.if_match = values_of(request, "If-Match");
    asked.if_none_match = values_of(request, "If-None-Match");
    asked.body = std::move(*body);
    std::string store = stores_->store_of(asked.id);  // Before `asked` is moved from.
    auto asking = stores_->ask(std::move(store), std::move(asked));
    auto reply = co_await asking;
    if (!reply) { co_return unavailable(reply.error()); }
    co_return answer_to(*reply);
}

heph::task<http::response> gateway::remove(http::request& request) const {
    remove_note asked;
    asked.id = request.param("id");
    if (const char* why = why_bad_id(asked.id)) { co_return bad_request(why); }
    asked.if_match = values_of(request, "If-Match");
    asked.if_none_match = values_of(request, "If-None-Match");
    std::string store = stores_->store_of(asked.id);  // Before `asked` is moved from.
    auto asking = stores_->ask(std::move(store), std::move(asked));
    auto reply = co_await asking;
    if (!reply) { co_return unavailable(reply.error()); }
    co_return answer_to(*reply);
}

heph::task<std::expected<list_reply, std::string>> gateway::list_page(std::string store,
                                                                      std::string after) const {
    list_ids asked;
    asked.after = std::move(after);
    return stores_->ask(std::move(store), std::move(asked));
}

heph::task<http::response> gateway::list(http::request& /*request*/) const {
    first_pages first;
    first.stores = stores_->names();
    for (const std::string& store : first.stores) {
        auto page = co_await list_page(store, std::string());
        if (!page) { co_return unavailable(page.error()); }
        first.pages.push_back(std::move(*page));
    }
    auto producer = [this, first = std::move(first)](http::body_writer& to) {
        return write_list(*this, first, to);
    };
    auto answer = http::response::stream("text/plain; charset=utf-8", std::move(producer));
    confine(answer);
    co_return answer;
}

http::response gateway::health() const {
    if (health_->has_failed.load(std::memory_order_relaxed)) {
        return unavailable("the disk failed: changes are refused until this node is restarted");
    }
    return http::response::text("ok\n");
}

http::response gateway::metrics() const {
    return http::response::bytes(
        metrics_text(*counters_, *health_, stores_->peers(), stores_->places()),
        "text/plain; version=0.0.4; charset=utf-8");
}

http::router make_router(std::shared_ptr<const gateway> through) {
    http::router routes;
    routes.get("/", front_page).get("/hello", hello).post("/echo", echo);
    routes.get("/healthz", [through](http::request&) { return through->health(); });
    routes.get("/metrics", [through](http::request&) { return through->metrics(); });
    const auto count = [through](request_kind kind, heph::task<http::response> answering) {
        return counted(through->counters(), kind, std::move(answering));
    };
    routes.get("/notes", [through, count](http::request& request) {
        return count(request_kind::list, through->list(request));
    });
    routes.get("/notes/{id}", [through, count](http::request& request) {
        return count(request_kind::get, through->get(request));
    });
    routes.put("/notes/{id}", [through, count](http::request& request) {
        return count(request_kind::put, through->put(request));
    });
    routes.delete_("/notes/{id}", [through, count](http::request& request) {
        return count(request_kind::remove, through->remove(request));
    });
    return routes;
}

}  // namespace notes
