// What etcd's gateway sends, byte for byte as versions 3.4 and 3.6 do, and what is made of it.

#include <catch2/catch.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codec/base64.hpp"
#include "etcd/gateway.hpp"
#include "etcd/json.hpp"
#include "etcd/lease_clock.hpp"
#include "etcd/line_splitter.hpp"
#include "etcd/watch_state.hpp"

namespace heph::remote::etcd {

namespace {

using namespace std::chrono_literals;
using kind = gateway::watch_message::kind;
using step = watch_state::step;
using phase = watch_state::phase;

constexpr std::string_view header =
    R"("header":{"cluster_id":"14841639068965178418","member_id":"1","revision":"7","raft_term":"2"})";

std::string with_header(std::string_view rest) {
    return '{' + std::string(header) + (rest.empty() ? "" : ",") + std::string(rest) + '}';
}
std::string result(std::string_view rest) { return "{\"result\":" + with_header(rest) + '}'; }

gateway::watch_message watched(kind what, std::int64_t revision,
                               std::vector<std::int64_t> changed = {}) {
    gateway::watch_message made;
    made.what = what;
    made.revision = revision;
    made.cluster = 1;
    for (const auto each : changed) {
        key_value key;
        key.key = "k";
        key.mod_revision = each;
        made.changes.emplace_back(false, key);
    }
    return made;
}

watch_state reading_from(std::int64_t listed) {
    watch_state state;
    state.listed(listed, 1);
    state.opened();
    return state;
}

}  // namespace

TEST_CASE("etcd json: well-formed values are read", "[etcd][json]") {
    const auto read = json_value::parse(
        R"( {"s":"a\"\\\/\n\u00e9\u20ac\ud83d\ude00","n":-12,"big":"9223372036854775807",)"
        R"("t":true,"f":false,"z":null,"l":[1, 2.5e3,[]],"o":{},"s":"later"} )");
    REQUIRE(read);
    const auto& value = *read;
    CHECK(value["s"].text() == "a\"\\/\n\u00e9\u20ac\U0001F600");
    CHECK(value["n"].int64() == -12);
    CHECK(value["big"].int64() == INT64_MAX);
    CHECK(value["big"].uint64() == 9223372036854775807U);
    CHECK(value["t"].is_true());
    CHECK_FALSE(value["f"].is_true());
    CHECK(value["z"].is_null());
    CHECK(value["absent"].int64() == 0);
    CHECK(value["absent"]["below"].text().empty());
    CHECK(value["l"].items().size() == 3);
    CHECK(value["l"].items()[1].text() == "2.5e3");
    CHECK_FALSE(value["l"].items()[1].int64());
    CHECK_FALSE(value["s"].int64());
    CHECK_FALSE(value["t"].int64());
    CHECK_FALSE(json_value::parse(R"({"n":"9223372036854775808"})").value()["n"].int64());
    CHECK_FALSE(json_value::parse(R"({"n":"-1"})").value()["n"].uint64());
}

TEST_CASE("etcd json: what is malformed is refused", "[etcd][json]") {
    for (const std::string_view text : {"",
                                        " ",
                                        "{",
                                        "}",
                                        "[1,]",
                                        "[1 2]",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{a:1}",
                                        "{\"a\":1,}",
                                        "tru",
                                        "truex",
                                        "\"a",
                                        "\"\\x\"",
                                        "\"\\u12g4\"",
                                        "\"\\ud800\"",
                                        "\"\\ud800\\u0041\"",
                                        "\"\\udc00\"",
                                        "\"a\nb\"",
                                        "01",
                                        "-",
                                        "1.",
                                        "1e",
                                        "+1",
                                        ".5",
                                        "1 1",
                                        "{} {}",
                                        "nul"}) {
        CAPTURE(text);
        CHECK_FALSE(json_value::parse(text));
    }
}

TEST_CASE("etcd json: depth and number of values are bounded", "[etcd][json]") {
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    CHECK(json_value::parse(nested(json_value::depth_max)));
    CHECK_FALSE(json_value::parse(nested(json_value::depth_max + 2)));
    CHECK_FALSE(json_value::parse(nested(1'000'000)));
    const auto listed = [](std::size_t count) {
        std::string text = "[0";
        for (std::size_t i = 1; i < count; ++i) { text += ",0"; }
        return text + ']';
    };
    CHECK(json_value::parse(listed(json_value::values_max - 1)));
    CHECK_FALSE(json_value::parse(listed(json_value::values_max)));
}

TEST_CASE("base64: bytes of any length come back, and nothing else is read", "[remote][json]") {
    std::string bytes;
    for (int i = 0; i < 260; ++i) {
        std::string text;
        codec::append_base64(text, bytes);
        CHECK(text.size() % 4 == 0);
        CHECK(codec::from_base64(text) == bytes);
        bytes += static_cast<char>(i * 7);
    }
    for (const std::string_view text :
         {"YQ", "YQ=", "Y===", "====", "YR==", "YWJ=", "Y Q=", "YQ==YQ==", "Y-_=", "Y=Q="}) {
        CAPTURE(text);
        CHECK_FALSE(codec::from_base64(text));
    }
}

TEST_CASE("etcd gateway: requests are written as the gateway wants them", "[etcd][gateway]") {
    CHECK(gateway::put_body("a", "b", 0) == R"({"key":"YQ==","value":"Yg=="})");
    CHECK(gateway::put_body("a", "", 77) == R"({"key":"YQ==","value":"","lease":"77"})");
    CHECK(gateway::range_body(gateway::key_range::one("a"), 0, 0) == R"({"key":"YQ=="})");
    CHECK(gateway::range_body(gateway::key_range::prefix("a"), 5, 10) ==
          R"({"revision":"5","limit":"10","key":"YQ==","range_end":"Yg=="})");
    CHECK(gateway::range_body(gateway::key_range::prefix(""), 0, 0) ==
          R"({"key":"AA==","range_end":"AA=="})");
    CHECK(gateway::end_of_prefix("a\xff\xff") == "b");
    CHECK(gateway::end_of_prefix("\xff") == std::string(1, '\0'));
    CHECK(gateway::watch_body(gateway::key_range::one("a"), 9) ==
          R"({"create_request":{"start_revision":"9","progress_notify":true,"key":"YQ=="}})");
    transaction claim;
    claim.if_absent("a").then_put("a", "b", 3).else_get("a");
    CHECK(claim.body() ==
          R"({"compare":[{"target":"CREATE","result":"EQUAL","key":"YQ==","create_revision":"0"}],)"
          R"("success":[{"request_put":{"key":"YQ==","value":"Yg==","lease":"3"}}],)"
          R"("failure":[{"request_range":{"key":"YQ=="}}]})");
}

TEST_CASE("etcd gateway: defaults that are left out are read as such", "[etcd][gateway]") {
    CHECK(gateway::read_put(with_header("")) == 7);
    const auto none = gateway::read_range(with_header(""));
    REQUIRE(none);
    CHECK(none->found.empty());
    CHECK_FALSE(none->more);
    CHECK(none->cluster == 14841639068965178418U);
    CHECK(gateway::read_removed(with_header("")) == 0);
    CHECK(gateway::read_removed(with_header(R"("deleted":"2")")) == 2);
    const auto failed = gateway::read_transaction(with_header(""));
    REQUIRE(failed);
    CHECK_FALSE(failed->succeeded);
    const auto other = gateway::read_transaction(with_header(
        R"("responses":[{"response_range":{"header":{"revision":"3"},"kvs":[{"key":"eHg=",)"
        R"("create_revision":"3","mod_revision":"4","version":"1","value":"MQ==","lease":"9"}]}},)"
        R"({"response_put":{"header":{"revision":"5"}}}])"));
    REQUIRE(other);
    REQUIRE(other->found.size() == 1);
    CHECK(other->found[0].key == "xx");
    CHECK(other->found[0].value == "1");
    CHECK(other->found[0].create_revision == 3);
    CHECK(other->found[0].lease == 9);
    const auto empty = gateway::read_range(with_header(
        R"("kvs":[{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1"}],"count":"1")"));
    REQUIRE(empty);
    CHECK(empty->found[0].value.empty());
}

TEST_CASE("etcd gateway: a keep-alive that is answered without a TTL is a lost lease",
          "[etcd][gateway]") {
    CHECK(gateway::read_keep_alive(result(R"("ID":"77","TTL":"5")")) == 5);
    CHECK(gateway::read_keep_alive(result(R"("ID":"77","TTL":"5")") + '\n') == 5);
    const auto lost = gateway::read_keep_alive(result(R"("ID":"78")") + '\n');
    REQUIRE_FALSE(lost);
    CHECK(lost.error().code() == errc::lease_not_found);
    // Behind a status of 200 as well.
    const auto failed = gateway::read_keep_alive(
        R"({"error":{"grpc_code":14,"http_code":503,"message":"transport is closing",)"
        R"("http_status":"Service Unavailable"}})");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code() == errc::unavailable);
}

TEST_CASE("etcd gateway: errors are told apart", "[etcd][gateway]") {
    struct row {
        unsigned status;
        std::string_view body;
        errc expected;
    };
    const auto said = GENERATE(
        row{404, R"({"error":"etcdserver: requested lease not found","message":"","code":5})",
            errc::lease_not_found},
        row{400, R"({"error":"etcdserver: mvcc: required revision has been compacted","code":11})",
            errc::compacted},
        row{400, R"({"error":"etcdserver: key is not provided","code":3})", errc::invalid_request},
        row{503, R"({"error":"etcdserver: no leader","code":14})", errc::unavailable},
        row{429, R"({"error":"etcdserver: too many requests","code":8})", errc::unavailable},
        row{429, R"({"error":"etcdserver: mvcc: database space exceeded","code":8})",
            errc::no_space},
        row{403, R"({"error":"etcdserver: permission denied","code":7})", errc::permission_denied},
        row{500, R"({"error":"context canceled","code":1})", errc::unavailable},
        row{500, R"({"error":"something odd","code":2})", errc::unavailable},
        row{409, R"({"error":"aborted","code":10})", errc::unavailable},
        row{500, R"({"error":"internal","code":13})", errc::unavailable},
        row{500, R"({"error":"data loss","code":15})", errc::unavailable},
        row{409, R"({"error":"it exists","code":6})", errc::invalid_request},
        row{400, R"({"error":"out of range","code":11})", errc::invalid_request},
        row{501, R"({"error":"unimplemented","code":12})", errc::invalid_request},
        // Of 3.6.
        row{400, R"({"code":9,"message":"etcdserver: duplicate key given","details":[]})",
            errc::invalid_request},
        row{404, R"({"code":5,"message":"etcdserver: requested lease not found","details":[]})",
            errc::lease_not_found},
        row{503, R"({"code":14,"message":"etcdserver: no leader","details":[]})",
            errc::unavailable},
        row{504, R"({"code":4,"message":"context deadline exceeded"})", errc::timed_out},
        row{401, R"({"code":16,"message":"etcdserver: invalid auth token"})",
            errc::permission_denied},
        row{503, R"({"error":{"code":14,"message":"transport is closing","details":[]}})",
            errc::unavailable},
        row{400, R"({"code":"9","message":"x"})", errc::bad_answer},
        row{400, R"({"code":9})", errc::bad_answer}, row{401, "no", errc::permission_denied},
        row{404, "Not Found", errc::bad_answer}, row{502, "<html>", errc::unavailable},
        row{400, "{}", errc::bad_answer});
    CAPTURE(said.status, said.body);
    CHECK(gateway::read_error(said.status, said.body).code() == said.expected);
}

TEST_CASE("etcd gateway: an error of a stream is found behind the status 200", "[etcd][gateway]") {
    const auto of_3_4 = gateway::read_stream_error(
        R"({"error":{"grpc_code":14,"http_code":503,"message":"transport is closing"}})");
    REQUIRE(of_3_4);
    CHECK(of_3_4->code() == errc::unavailable);
    const auto of_3_6 = gateway::read_stream_error(
        R"({"error":{"code":5,"message":"etcdserver: requested lease not found"}})"
        "\n");
    REQUIRE(of_3_6);
    CHECK(of_3_6->code() == errc::lease_not_found);
    CHECK_FALSE(gateway::read_stream_error(result(R"("ID":"77","TTL":"5")")));
    CHECK_FALSE(gateway::read_stream_error(with_header("")));
    CHECK_FALSE(gateway::read_stream_error(""));
}

TEST_CASE("etcd gateway: numbers that cannot be reckoned with are refused", "[etcd][gateway]") {
    const auto code_of = [](const auto& read) {
        return read ? std::error_code() : read.error().code();
    };
    CHECK(gateway::read_grant(with_header(R"("ID":"5","TTL":"9000000000")")));
    for (const std::string_view ttl : {"0", "-1", "9000000001", "9223372036854775807"}) {
        CAPTURE(ttl);
        const auto text = with_header(R"("ID":"5","TTL":")" + std::string(ttl) + '"');
        CHECK(code_of(gateway::read_grant(text)) == errc::bad_answer);
    }
    for (const std::string_view number : {"-1", "9223372036854775807"}) {
        CAPTURE(number);
        const auto revision = R"("revision":")" + std::string(number) + '"';
        CHECK(code_of(gateway::read_put("{\"header\":{" + revision + "}}")) == errc::bad_answer);
        CHECK(code_of(gateway::read_watch_line("{\"result\":{\"header\":{" + revision + "}}}")) ==
              errc::bad_answer);
        for (const std::string_view name : {"create_revision", "mod_revision", "version"}) {
            CAPTURE(name);
            const auto key = R"("kvs":[{"key":"YQ==",")" + std::string(name) + R"(":")" +
                             std::string(number) + R"("}])";
            CHECK(code_of(gateway::read_range(with_header(key))) == errc::bad_answer);
        }
    }
}

TEST_CASE("etcd gateway: what is no answer of etcd is refused", "[etcd][gateway]") {
    for (const std::string_view text : {"", "[]", "{}", "OK", R"({"header":{}})", R"({"header":7})",
                                        R"({"header":{"revision":"x"}})"}) {
        CAPTURE(text);
        const auto range = gateway::read_range(text);
        // A header without a revision is that of an empty store.
        if (text == R"({"header":{}})") {
            CHECK(range);
            continue;
        }
        REQUIRE_FALSE(range);
        CHECK(range.error().code() == errc::bad_answer);
        CHECK_FALSE(gateway::read_transaction(text));
        CHECK_FALSE(gateway::read_grant(text));
        CHECK_FALSE(gateway::read_keep_alive(text));
        CHECK_FALSE(gateway::read_watch_line(text));
    }
    CHECK_FALSE(gateway::read_range(with_header(R"("kvs":[{"key":"!"}])")));
    CHECK_FALSE(gateway::read_range(with_header(R"("kvs":[{"key":"YQ==","version":"1.5"}])")));
    CHECK_FALSE(gateway::read_grant(with_header(R"("ID":"0","TTL":"5")")));
    CHECK_FALSE(gateway::read_grant(with_header(R"("ID":"5")")));
    CHECK_FALSE(
        gateway::read_watch_line(result(R"("events":[{"type":"MOVE","kv":{"key":"YQ=="}}])")));
    CHECK_FALSE(gateway::read_watch_line(result(R"("events":[{}])")));
}

TEST_CASE("etcd gateway: the lines of a watch are told apart", "[etcd][gateway]") {
    CHECK(gateway::read_watch_line(result(R"("created":true)"))->what == kind::created);
    CHECK(gateway::read_watch_line(result(""))->what == kind::progress);
    const auto compacted = gateway::read_watch_line(
        R"({"result":{"header":{"cluster_id":"1","member_id":"1","raft_term":"2"},)"
        R"("canceled":true,"compact_revision":"4"}})");
    REQUIRE(compacted);
    CHECK(compacted->what == kind::canceled);
    CHECK(compacted->compact_revision == 4);
    const auto refused = gateway::read_watch_line(
        result(R"("created":true,"canceled":true,"cancel_reason":"etcdserver: no leader")"));
    REQUIRE(refused);
    CHECK(refused->what == kind::canceled);
    CHECK(refused->reason == "etcdserver: no leader");
    const auto changed = gateway::read_watch_line(result(
        R"("events":[{"kv":{"key":"YQ==","create_revision":"2","mod_revision":"6","version":"2",)"
        R"("value":"Yg=="}},{"type":"DELETE","kv":{"key":"YQ==","mod_revision":"7"}}])"));
    REQUIRE(changed);
    CHECK(changed->what == kind::changes);
    REQUIRE(changed->changes.size() == 2);
    CHECK_FALSE(changed->changes[0].removed);
    CHECK(changed->changes[0].what.value == "b");
    CHECK(changed->changes[1].removed);
    CHECK(changed->changes[1].what.mod_revision == 7);
    const auto failed = gateway::read_watch_line(
        R"({"error":{"grpc_code":14,"http_code":503,"message":"transport is closing"}})");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code() == errc::unavailable);
}

TEST_CASE("etcd lines: a stream is taken apart at line ends, wherever its pieces end",
          "[etcd][lines]") {
    const std::string stream = "one\ntwo\r\n\n\nthree, which is longer\nlast";
    for (std::size_t size = 1; size <= stream.size(); ++size) {
        line_splitter lines(64);
        std::vector<std::string> found;
        for (std::size_t at = 0; at < stream.size(); at += size) {
            REQUIRE(lines.feed(std::string_view(stream).substr(at, size)));
            while (const auto line = lines.next()) { found.emplace_back(*line); }
        }
        CHECK(found == std::vector<std::string>{"one", "two", "three, which is longer"});
        // An error need not end with LF.
        CHECK(lines.last() == "last");
        CHECK_FALSE(lines.last());
        CHECK_FALSE(lines.next());
    }
}

TEST_CASE("etcd lines: a line that is too long is refused before it is there", "[etcd][lines]") {
    line_splitter lines(8);
    CHECK(lines.feed("12345678"));
    CHECK_FALSE(lines.feed("9"));
    line_splitter others(8);
    CHECK(others.feed("12345678\n1234\n5678"));
    CHECK(others.next() == "12345678");
    CHECK(others.next() == "1234");
    CHECK_FALSE(others.next());
    CHECK(others.feed("\n"));
    CHECK(others.next() == "5678");
}

TEST_CASE("etcd watch: each change is told once, though the connection is lost", "[etcd][watch]") {
    auto state = reading_from(10);
    CHECK(state.from() == 11);
    auto created = watched(kind::created, 12);
    CHECK(state.take(created) == step::nothing);
    // The header's revision is that of the store; the change of 12 is still to come.
    auto first = watched(kind::changes, 12, {11});
    CHECK(state.take(first) == step::tell);
    CHECK(state.from() == 12);
    state.lost();
    CHECK(state.now() == phase::opening);
    state.opened();
    auto again = watched(kind::changes, 13, {11, 12, 12, 13});
    CHECK(state.take(again) == step::tell);
    CHECK(again.changes.size() == 3);
    CHECK(state.from() == 14);
    auto old = watched(kind::changes, 13, {12});
    CHECK(state.take(old) == step::nothing);
    auto progress = watched(kind::progress, 20);
    CHECK(state.take(progress) == step::nothing);
    CHECK(state.from() == 21);
}

TEST_CASE("etcd watch: what was compacted is listed again", "[etcd][watch]") {
    auto state = reading_from(10);
    auto compacted = watched(kind::canceled, 0);
    compacted.compact_revision = 40;
    CHECK(state.take(compacted) == step::leave);
    CHECK(state.now() == phase::listing);
    state.listed(50, 1);
    CHECK(state.from() == 51);
    state.opened();
    auto canceled = watched(kind::canceled, 50);
    CHECK(state.take(canceled) == step::leave);
    CHECK(state.now() == phase::opening);
}

TEST_CASE("etcd watch: behind a message that cannot be read, all is listed anew", "[etcd][watch]") {
    auto state = reading_from(10);
    state.unreadable();
    CHECK(state.now() == phase::listing);
    state.listed(12, 1);
    CHECK(state.from() == 13);
}

TEST_CASE("etcd watch: a store that is behind is checked, as a watch from the future is silent",
          "[etcd][watch]") {
    auto state = reading_from(10);
    auto behind = watched(kind::created, 9);
    CHECK(state.take(behind) == step::check);
    CHECK(state.now() == phase::checking);
    SECTION("a member that lags catches up") {
        state.checked(10);
        CHECK(state.now() == phase::reading);
    }
    SECTION("a store that lost changes is listed again") {
        state.checked(9);
        CHECK(state.now() == phase::listing);
    }
    SECTION("another cluster is listed again") {
        state.checked(10);
        auto other = watched(kind::progress, 11);
        other.cluster = 2;
        CHECK(state.take(other) == step::leave);
        CHECK(state.now() == phase::listing);
    }
}

TEST_CASE(
    "etcd watch: a store behind what an answer told of is checked, and listed if it lost that",
    "[etcd][watch]") {
    auto state = reading_from(10);
    state.had(15);
    CHECK(state.floor() == 15);
    CHECK(state.from() == 11);
    auto behind = watched(kind::created, 12);
    CHECK(state.take(behind) == step::check);
    SECTION("a member that lags catches up") {
        state.checked(15);
        CHECK(state.now() == phase::reading);
        auto late = watched(kind::changes, 15, {11, 15});
        CHECK(state.take(late) == step::tell);
    }
    SECTION("a store that lost it is listed, and counts from there") {
        state.checked(14);
        CHECK(state.now() == phase::listing);
        state.listed(12, 1);
        state.opened();
        auto created = watched(kind::created, 12);
        CHECK(state.take(created) == step::nothing);
    }
}

TEST_CASE("etcd lease: a short one is kept alive at parts of a second", "[etcd][lease]") {
    const lease_clock::time_point start{100s};
    for (const auto ttl : {1s, 2s}) {
        lease_clock held(start, ttl);
        const lease_clock::duration whole = ttl;
        CHECK(held.next() == start + whole / 3);
        CHECK(held.patience() == whole / 4);
        held.failed(start + 10ms);
        CHECK(held.next() == start + 10ms + whole / 10);
        held.alive(start + 20ms, ttl, start + 30ms);
        CHECK(held.next() == start + 20ms + whole / 3);
    }
}

TEST_CASE("etcd lease: it is held from when the granted request was sent, and never again",
          "[etcd][lease]") {
    const lease_clock::time_point start{100s};
    lease_clock held(start, 9s);
    CHECK(held.is_held(start));
    CHECK(held.next() == start + 3s);
    CHECK(held.is_held(start + 9s - 1ms));
    CHECK_FALSE(held.is_held(start + 9s));
    // Sent at 3 s, answered at 5 s.
    held.alive(start + 3s, 9s, start + 5s);
    CHECK(held.until() == start + 12s);
    CHECK(held.next() == start + 6s);
    held.failed(start + 8s);
    CHECK(held.next() > start + 8s);
    CHECK(held.next() <= start + 9s);
    CHECK(held.until() == start + 12s);
    // A server that says more does not make it longer.
    held.alive(start + 9s, 60s, start + 9s);
    CHECK(held.until() == start + 18s);
    SECTION("an answer that comes too late does not bring it back") {
        held.alive(start + 17s, 9s, start + 18s);
        CHECK_FALSE(held.is_held(start + 18s));
    }
    SECTION("one that is refused is lost at once") {
        held.refused();
        CHECK_FALSE(held.is_held(start + 9s));
        held.alive(start + 10s, 9s, start + 10s);
        CHECK_FALSE(held.is_held(start + 10s));
    }
}

TEST_CASE("etcd gateway: a login gives a token, and tells when a token is not good any more",
          "[etcd][gateway]") {
    CHECK(gateway::login_body("a\"b", "\\") == R"({"name":"a\"b","password":"\\"})");
    CHECK(gateway::read_token(with_header(R"("token":"VxlFDbxz.7")")).value() == "VxlFDbxz.7");
    for (const auto* bad : {R"("token":"")", R"("token":7)", R"("token":"a\r\nHost: b")",
                            R"("token":"a b")", R"("token":"\u00e9")", ""}) {
        CAPTURE(bad);
        const auto read = gateway::read_token(with_header(bad));
        REQUIRE_FALSE(read);
        CHECK(read.error().code() == errc::bad_answer);
    }
    const auto long_one =
        gateway::read_token(with_header(R"("token":")" + std::string(4097, 'a') + '"'));
    CHECK_FALSE(long_one);
    struct row {
        unsigned status;
        std::string_view body;
        bool refused;
        bool needless;
    };
    for (
        const auto& each : {
            row{401, R"({"error":"etcdserver: invalid auth token","code":16})", true, false},
            row{400, R"({"error":"etcdserver: user name is empty","code":3})", true, false},
            row{400, R"({"error":"etcdserver: revision of auth store is old","code":3})", true,
                false},
            row{400, R"({"error":"etcdserver: revision in header is old","code":3})", true, false},
            row{400, R"({"code":3,"message":"auth: revision in header is old"})", true, false},
            row{400,
                R"({"code":3,"message":"etcdserver: authentication failed, invalid user ID or password"})",
                false, false},
            row{403, R"({"code":7,"message":"etcdserver: permission denied"})", false, false},
            row{400, R"({"error":"etcdserver: authentication is not enabled","code":9})", false,
                true},
        }) {
        CAPTURE(each.body);
        const auto said = gateway::read_error(each.status, each.body);
        CHECK(gateway::is_token_refused(said) == each.refused);
        CHECK(gateway::is_login_needless(said) == each.needless);
        CHECK((said.code() == errc::permission_denied) == !each.needless);
    }
}

}  // namespace heph::remote::etcd
