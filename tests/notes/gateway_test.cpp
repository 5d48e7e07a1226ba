#include "notes/gateway.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/new_actor.hpp>
#include <heph/core/supervisor.hpp>
#include <heph/http/h1/request_parser.hpp>

#include "linked_nodes.hpp"
#include "notes/linked_stores.hpp"
#include "notes/page.hpp"
#include "rt/on_runtime.hpp"
#include "temporary_folder.hpp"

namespace http = heph::http;
using heph::task;
using heph::test::quiet_setup;
using heph::test::run_on_worker;
using http::status;
using notes::test::linked_nodes;
using notes::test::temporary_folder;

namespace {

// Gives a body in pieces, as a connection does.
class body_pieces final : public http::body_reader {
public:
    explicit body_pieces(std::string body) : body_(std::move(body)) {}
    task<std::expected<std::string_view, http::error>> next() override {
        const auto piece = std::string_view(body_).substr(at_, 1000);
        at_ += piece.size();
        co_return piece;
    }

private:
    std::string body_;
    std::size_t at_ = 0;
};

// Keeps what is written.
class body_text final : public http::body_writer {
public:
    task<std::expected<void, http::error>> write(std::string_view piece) override {
        text += piece;
        ++pieces;
        co_return std::expected<void, http::error>();
    }
    std::string text;
    int pieces = 0;
};

// Is one request and what became of it.
struct exchange {
    exchange(std::string its_method, std::string its_target, std::string its_body = {},
             std::string its_headers = {})
        : method(std::move(its_method)),
          target(std::move(its_target)),
          body(std::move(its_body)),
          headers(std::move(its_headers)) {}

    std::string method;
    std::string target;
    std::string body;
    std::string headers;
    std::optional<http::response> answer;
    std::string answer_body;
    int answer_pieces = 0;

    [[nodiscard]] status answered() const {
        REQUIRE(answer);
        return answer->status();
    }
    [[nodiscard]] std::string header(std::string_view name) const {
        REQUIRE(answer);
        return std::string(answer->headers().get(name).value_or("(none)"));
    }
};

task<> perform(const http::router& routes, exchange& one) {
    const http::limits limits;
    http::h1::request_parser parser(limits);
    http::request request;
    const std::string bytes =
        one.method + " " + one.target + " HTTP/1.1\r\nHost: a\r\n" + one.headers + "\r\n";
    std::string_view input = bytes;
    if (parser.next(input, request.head()).kind != http::h1::event_kind::head) { co_return; }
    body_pieces body(one.body);
    request.set_body(body, limits.body_bytes_max);
    auto answer = co_await routes.handle(request);
    if (answer.is_streamed()) {
        body_text to;
        auto produced = co_await answer.producer()(to);
        if (!produced) { co_return; }
        one.answer_body = std::move(to.text);
        one.answer_pieces = to.pieces;
    } else {
        one.answer_body = answer.body();
    }
    one.answer.emplace(std::move(answer));
}

task<> perform_all(std::shared_ptr<const http::router> routes, std::vector<exchange>& all) {
    for (exchange& one : all) { co_await perform(*routes, one); }
}

task<> perform_one(std::shared_ptr<const http::router> routes, exchange& one) {
    co_await perform(*routes, one);
}

// Whether requests come one after the other, or all at once.
enum class order { in_turn, at_once };

struct service {
    explicit service(std::vector<std::string> names) : nodes(std::move(names)) {}
    temporary_folder folder;
    notes::placement nodes;
    std::shared_ptr<notes::store_health> health = std::make_shared<notes::store_health>();

    // Runs a node by itself, and has it answer the requests.
    void answer(std::vector<exchange>& all, bool with_store = true, order in = order::in_turn) {
        auto directory = notes::data_dir::open(folder.path());
        REQUIRE(directory);
        auto log = directory->open_log("a", [](const notes::record&) {});
        REQUIRE(log);
        run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
            auto kept =
                std::make_shared<notes::note_store>(notes::note_table(), std::move(*log), health);
            const auto store =
                worker.spawn(heph::no_supervisor(),
                             heph::actor_fn(with_store ? notes::run_store : &no_store), kept);
            const auto routes = std::make_shared<const http::router>(
                notes::make_router(std::make_shared<const notes::gateway>(
                    std::make_shared<notes::linked_stores>(nodes, "a", store,
                                                           std::make_shared<notes::links>()),
                    health)));
            if (in == order::in_turn) {
                worker.spawn_future(perform_all(routes, all));
                return;
            }
            for (exchange& one : all) { worker.spawn_future(perform_one(routes, one)); }
        });
    }

    static task<> no_store(heph::rt::local_context<notes::store_message> /*ctx*/,
                           std::shared_ptr<notes::note_store> /*store*/) {
        co_return;
    }
};

// Gives an id that the node keeps.
std::string id_of(const notes::placement& nodes, std::string_view owner) {
    for (int number = 0;; ++number) {
        const std::string id = "note-" + std::to_string(number);
        if (nodes.owner(id) == owner) { return id; }
    }
}

}  // namespace

TEST_CASE("notes gateway: the metrics tell what was answered and what is kept",
          "[notes][gateway]") {
    std::vector<exchange> all;
    all.emplace_back("GET", "/metrics");
    all.emplace_back("PUT", "/notes/a", "12345", "Content-Type: t/x\r\n");
    all.emplace_back("PUT", "/notes/b", "", "Content-Type: t/x\r\n");
    all.emplace_back("DELETE", "/notes/b");
    all.emplace_back("DELETE", "/notes/b");
    all.emplace_back("GET", "/notes/a");
    all.emplace_back("GET", "/notes");
    all.emplace_back("GET", "/metrics");
    service(std::vector<std::string>{"a"}).answer(all);

    CHECK(all[0].answered() == status::ok);
    CHECK(all[0].header("content-type") == "text/plain; version=0.0.4; charset=utf-8");
    CHECK_THAT(all[0].answer_body,
               Catch::Contains("\nnotes_kept 0\n") && Catch::Contains("\nnotes_changes_total 0\n"));
    for (const char* line : {"notes_requests_total{request=\"put\",status=\"2xx\"} 2",
                             "notes_requests_total{request=\"delete\",status=\"2xx\"} 1",
                             "notes_requests_total{request=\"delete\",status=\"4xx\"} 1",
                             "notes_requests_total{request=\"get\",status=\"2xx\"} 1",
                             "notes_requests_total{request=\"list\",status=\"2xx\"} 1",
                             "notes_requests_total{request=\"put\",status=\"5xx\"} 0",
                             "notes_kept 1", "notes_kept_bytes 9", "notes_changes_total 3",
                             "notes_flushes_total 3", "notes_store_failed 0"}) {
        CHECK_THAT(all[7].answer_body, Catch::Contains("\n" + std::string(line) + "\n"));
    }
}

TEST_CASE("notes gateway: the metrics name the linked nodes", "[notes][gateway]") {
    const std::vector<heph::remote::peer_status> peers{{"b", true}, {"c\"\\", false}};
    const std::string text =
        notes::metrics_text(notes::request_counters(), notes::store_health(), peers);
    CHECK_THAT(text, Catch::Contains("notes_peer_linked{node=\"b\"} 1\n") &&
                         Catch::Contains("notes_peer_linked{node=\"c\\\"\\\\\"} 0\n"));
    CHECK_THAT(text, !Catch::Contains("notes_shard_at"));
}

TEST_CASE("notes gateway: the metrics tell which node has each shard", "[notes][gateway]") {
    const std::string text =
        notes::metrics_text(notes::request_counters(), notes::store_health(), {}, {"b", "", "a"});
    CHECK_THAT(text, Catch::Contains("notes_shard_at{shard=\"0\",node=\"b\"} 1\n") &&
                         Catch::Contains("notes_shard_at{shard=\"2\",node=\"a\"} 1\n") &&
                         !Catch::Contains("shard=\"1\""));
}

TEST_CASE("notes gateway: a note is stored, read, replaced and removed", "[notes][gateway]") {
    std::vector<exchange> all;
    all.emplace_back("GET", "/notes/a%2Fb");
    all.emplace_back("PUT", "/notes/a%2Fb", "one", "Content-Type: text/x; y=z\r\n");
    all.emplace_back("GET", "/notes/a%2Fb");
    all.emplace_back("PUT", "/notes/a%2Fb", "two");
    all.emplace_back("GET", "/notes/a%2fb");
    all.emplace_back("GET", "/notes");
    all.emplace_back("DELETE", "/notes/a%2Fb");
    all.emplace_back("DELETE", "/notes/a%2Fb");
    all.emplace_back("GET", "/notes");
    service(std::vector<std::string>{"a"}).answer(all);

    CHECK(all[0].answered() == status::not_found);
    CHECK(all[0].header("content-type") == "application/problem+json");
    CHECK(all[1].answered() == status::created);
    CHECK(all[2].answered() == status::ok);
    CHECK(all[2].answer_body == "one");
    CHECK(all[2].header("content-type") == "text/x; y=z");
    CHECK(all[2].header("x-content-type-options") == "nosniff");
    CHECK(all[2].header("content-security-policy").find("sandbox") == 0);
    CHECK(all[3].answered() == status::no_content);
    CHECK(all[4].answer_body == "two");
    CHECK(all[4].header("content-type") == "application/octet-stream");
    CHECK(all[5].answer_body == "a/b\n");
    CHECK(all[6].answered() == status::no_content);
    CHECK(all[7].answered() == status::not_found);
    CHECK(all[8].answered() == status::ok);
    CHECK(all[8].answer_body.empty());
}

TEST_CASE("notes gateway: a change whose condition is false is not made", "[notes][gateway]") {
    std::vector<exchange> all;
    all.emplace_back("PUT", "/notes/a", "one", "If-Match: *\r\n");
    all.emplace_back("PUT", "/notes/a", "one", "If-None-Match: *\r\n");
    all.emplace_back("PUT", "/notes/a", "two", "If-None-Match: *\r\n");
    all.emplace_back("PUT", "/notes/a", "two", "If-Match: \"other\"\r\n");
    all.emplace_back("DELETE", "/notes/a", "", "If-Match: \"other\"\r\n");
    all.emplace_back("DELETE", "/notes/b", "", "If-Match: \"other\"\r\n");
    all.emplace_back("GET", "/notes/a");
    service one(std::vector<std::string>{"a"});
    one.answer(all);
    CHECK(all[0].answered() == status::precondition_failed);
    CHECK(all[1].answered() == status::created);
    for (std::size_t at = 2; at < 5; ++at) {
        CAPTURE(at);
        CHECK(all[at].answered() == status::precondition_failed);
    }
    CHECK(all[5].answered() == status::not_found);
    CHECK(all[6].answer_body == "one");
    const std::string tag = all[6].header("etag");

    // The tag is that of the content, also of a note that is stored anew.
    std::vector<exchange> more;
    more.emplace_back("PUT", "/notes/a", "one");
    more.emplace_back("GET", "/notes/a", "", "If-None-Match: " + tag + "\r\n");
    more.emplace_back("PUT", "/notes/a", "two", "If-Match: " + tag + "\r\n");
    more.emplace_back("PUT", "/notes/a", "three", "If-Match: " + tag + "\r\n");
    more.emplace_back("GET", "/notes/a");
    service(std::vector<std::string>{"a"}).answer(more);
    CHECK(more[1].answered() == status::not_modified);
    CHECK(more[2].answered() == status::no_content);
    CHECK(more[3].answered() == status::precondition_failed);
    CHECK(more[4].answer_body == "two");
    CHECK(more[4].header("etag") != tag);
}

TEST_CASE("notes gateway: of those who make a note at the same moment if there is none, one does",
          "[notes][gateway]") {
    std::vector<exchange> all;
    for (const char* body : {"one", "two", "three"}) {
        all.emplace_back("PUT", "/notes/a", body, "If-None-Match: *\r\n");
    }
    service(std::vector<std::string>{"a"}).answer(all, true, order::at_once);
    int made = 0;
    for (const exchange& one : all) {
        if (one.answered() == status::created) {
            ++made;
        } else {
            CHECK(one.answered() == status::precondition_failed);
        }
    }
    CHECK(made == 1);
}

TEST_CASE("notes gateway: a part, or what is encoded, is not stored as a note",
          "[notes][gateway]") {
    std::vector<exchange> all;
    all.emplace_back("PUT", "/notes/a", "ab", "Content-Range: bytes 0-1/9\r\n");
    all.emplace_back("PUT", "/notes/a", "ab", "Content-Encoding: gzip\r\n");
    all.emplace_back("GET", "/notes/a");
    service(std::vector<std::string>{"a"}).answer(all);
    CHECK(all[0].answered() == status::bad_request);
    CHECK(all[1].answered() == status::unsupported_media_type);
    CHECK(all[1].header("accept-encoding") == "identity");
    CHECK(all[2].answered() == status::not_found);
}

TEST_CASE("notes gateway: what is beyond the limits is refused", "[notes][gateway]") {
    const std::string largest(notes::body_bytes_max, 'x');
    std::vector<exchange> all;
    all.emplace_back("PUT", "/notes/largest", largest);
    all.emplace_back("GET", "/notes/largest");
    all.emplace_back("PUT", "/notes/larger", largest + "x");
    all.emplace_back("GET", "/notes/larger");
    all.emplace_back("PUT", "/notes/typed", "x", "Content-Type: " + std::string(257, 't') + "\r\n");
    for (const char* bad : {"%7F", "a%0Ab", "%FF"}) {
        all.emplace_back("PUT", std::string("/notes/") + bad, "x");
        all.emplace_back("GET", std::string("/notes/") + bad);
        all.emplace_back("DELETE", std::string("/notes/") + bad);
    }
    service(std::vector<std::string>{"a"}).answer(all);

    CHECK(all[0].answered() == status::created);
    CHECK(all[1].answer_body == largest);
    CHECK(all[2].answered() == status::content_too_large);
    CHECK(all[3].answered() == status::not_found);
    for (std::size_t at = 4; at < all.size(); ++at) {
        CAPTURE(all[at].method, all[at].target);
        CHECK(all[at].answered() == status::bad_request);
        CHECK(all[at].header("content-type") == "application/problem+json");
    }
}

TEST_CASE("notes gateway: an owner that is away is told with the time to ask again",
          "[notes][gateway]") {
    service linked(std::vector<std::string>{"a", "b"});
    const std::string away = "/notes/" + id_of(linked.nodes, "b");
    const std::string here = "/notes/" + id_of(linked.nodes, "a");
    std::vector<exchange> all;
    all.emplace_back("GET", away);
    all.emplace_back("PUT", away, "x");
    all.emplace_back("DELETE", away);
    all.emplace_back("GET", "/notes");
    all.emplace_back("PUT", here, "x");
    linked.answer(all);

    for (std::size_t at = 0; at < 4; ++at) {
        CAPTURE(all[at].method, all[at].target);
        CHECK(all[at].answered() == status::service_unavailable);
        CHECK(all[at].header("retry-after") == "1");
        CHECK(all[at].header("content-type") == "application/problem+json");
        CHECK(all[at].answer_body.find("'b'") != std::string::npos);
    }
    CHECK(all[4].answered() == status::created);
}

TEST_CASE("notes gateway: without its store a node says so", "[notes][gateway]") {
    std::vector<exchange> all;
    all.emplace_back("PUT", "/notes/x", "x");
    all.emplace_back("GET", "/notes/x");
    all.emplace_back("GET", "/notes");
    all.emplace_back("GET", "/hello");
    service(std::vector<std::string>{"a"}).answer(all, false);

    for (std::size_t at = 0; at < 3; ++at) {
        CHECK(all[at].answered() == status::service_unavailable);
        CHECK(all[at].header("retry-after") == "1");
    }
    CHECK(all[3].answer_body == "Hello, World!");
}

TEST_CASE("notes gateway: health follows the disk", "[notes][gateway]") {
    service alone(std::vector<std::string>{"a"});
    std::vector<exchange> all;
    all.emplace_back("GET", "/healthz");
    alone.answer(all);
    CHECK(all[0].answered() == status::ok);
    alone.health->has_failed.store(true);
    alone.answer(all);
    CHECK(all[0].answered() == status::service_unavailable);
}

TEST_CASE("notes gateway: long lists are sent in pieces", "[notes][gateway]") {
    std::vector<exchange> all;
    std::string wanted;
    for (int number = 1000; number < 2000; ++number) {
        const std::string id = std::to_string(number) + std::string(150, '-');
        all.emplace_back("PUT", "/notes/" + id, "x");
        wanted += id + "\n";
    }
    all.emplace_back("GET", "/notes");
    service(std::vector<std::string>{"a"}).answer(all);
    CHECK(all.back().answer_body == wanted);
    CHECK(all.back().answer_pieces == 3);
}

namespace {

// Begins a list, and drops the question for its second page.
task<> half_list(heph::rt::local_context<notes::store_message> ctx) {
    while (auto message = co_await ctx.receive()) {
        auto* call = std::get_if<notes::list_call>(&*message);
        if (call != nullptr && call->request().after.empty()) {
            notes::list_reply reply;
            reply.ids.emplace_back("first");
            reply.is_last = false;
            (void)call->respond(std::move(reply));
        }
    }
}

task<> read_half_list(std::shared_ptr<linked_nodes> nodes, http::status& answered, body_text& body,
                      std::expected<void, http::error>& produced) {
    const auto store = nodes->worker.spawn(heph::no_supervisor(), heph::actor_fn(half_list));
    nodes->b->publish(notes::store_name, store);
    co_await nodes->until_linked();
    const auto through = std::make_shared<const notes::gateway>(
        std::make_shared<notes::linked_stores>(
            notes::placement(std::vector<std::string>{"b"}), "a", store,
            std::make_shared<notes::links>(*nodes->a, nodes->worker.shared())),
        std::make_shared<notes::store_health>());
    http::request request;
    auto answer = co_await through->list(request);
    answered = answer.status();
    produced = co_await answer.producer()(body);
}

}  // namespace

TEST_CASE("notes gateway: a list that breaks off half-way is not ended", "[notes][gateway]") {
    status answered = status::internal_server_error;
    body_text body;
    std::expected<void, http::error> produced;
    run_on_worker(quiet_setup(), [&](heph::rt::worker& worker) {
        worker.spawn_future(
            read_half_list(std::make_shared<linked_nodes>(worker), answered, body, produced));
    });
    CHECK(answered == status::ok);
    CHECK(body.text == "first\n");
    REQUIRE_FALSE(produced);
    CHECK(produced.error() == http::error::handler_failed);
}

TEST_CASE("notes gateway: the echo gives back what came, as it was called", "[notes][gateway]") {
    const std::string body(5000, 'x');
    std::vector<exchange> all;
    all.emplace_back("POST", "/echo", body, "Content-Type: a/b\r\nContent-Length: 5000\r\n");
    all.emplace_back("POST", "/echo", body, "Transfer-Encoding: chunked\r\n");
    service(std::vector<std::string>{"a"}).answer(all);
    CHECK(all[0].answer_body == body);
    CHECK(all[0].answer_pieces == 5);
    CHECK(all[0].header("content-type") == "a/b");
    REQUIRE(all[0].answer);
    CHECK(all[0].answer->stream_length() == 5000U);
    CHECK(all[1].answer_body == body);
    CHECK(all[1].header("content-type") == "application/octet-stream");
    CHECK(all[1].answer->stream_length() == std::nullopt);
}

TEST_CASE("notes gateway: the page needs nothing from elsewhere", "[notes][gateway]") {
    std::vector<exchange> all;
    all.emplace_back("GET", "/");
    all.emplace_back("HEAD", "/");
    all.emplace_back("GET", "/else");
    all.emplace_back("POST", "/notes/x", "x");
    service(std::vector<std::string>{"a"}).answer(all);
    CHECK(all[0].answer_body == notes::page());
    CHECK(all[0].header("content-type").find("text/html") == 0);
    CHECK(all[0].header("content-security-policy").find("default-src 'none'") == 0);
    CHECK(notes::page().find("http://") == notes::page().find("http://127.0.0.1:8080"));
    CHECK(notes::page().find("https://") == std::string_view::npos);
    CHECK(all[1].answered() == status::ok);
    CHECK(all[2].answered() == status::not_found);
    CHECK(all[3].answered() == status::method_not_allowed);
    CHECK(all[3].header("allow").find("PUT") != std::string::npos);
}
