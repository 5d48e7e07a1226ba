#include "notes/options.hpp"

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>
#include <vector>

namespace {

std::expected<notes::options, notes::early_exit> parse(std::initializer_list<const char*> words) {
    std::vector<const char*> all = {"notes"};
    all.insert(all.end(), words);
    return notes::parse_options(static_cast<int>(all.size()), all.data());
}

// The one line that a wrong command line gets.
std::string refusal(std::initializer_list<const char*> words) {
    const auto given = parse(words);
    REQUIRE_FALSE(given.has_value());
    CHECK(given.error().status == 2);
    CHECK(given.error().text.find('\n') == std::string::npos);
    return given.error().text;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("notes options: without any, one node serves on 127.0.0.1:8080", "[notes]") {
    const auto given = parse({});
    REQUIRE(given.has_value());
    CHECK(given->http == "127.0.0.1:8080");
    CHECK(given->listen.empty());
    CHECK(given->peers.empty());
    CHECK(given->threads == 1);
}

TEST_CASE("notes options: linked nodes", "[notes]") {
    const auto given = parse({"--http", "127.0.0.1:0", "--node", "a", "--listen", "127.0.0.1:9001",
                              "--peer", "b=127.0.0.1:9002", "--peer", "c=[::1]:9003",
                              "--secret-file", "s", "--data", "d", "--threads", "3"});
    REQUIRE(given.has_value());
    CHECK(given->node == "a");
    REQUIRE(given->peers.size() == 2);
    CHECK(given->peers[0].name == "b");
    CHECK(given->peers[1].address == "[::1]:9003");
    CHECK(given->secret_file == "s");
    CHECK(given->data == "d");
    CHECK(given->threads == 3);
}

TEST_CASE("notes options: a cluster on etcd", "[notes]") {
    const auto given = parse({"--node", "a", "--listen", "127.0.0.1:9001", "--secret-file", "s",
                              "--etcd", "http://127.0.0.1:2379", "--etcd", "http://127.0.0.2:2379",
                              "--shards", "8", "--lease", "3"});
    REQUIRE(given.has_value());
    CHECK(given->etcd ==
          std::vector<std::string>{"http://127.0.0.1:2379", "http://127.0.0.2:2379"});
    CHECK(given->shards == 8);
    CHECK(given->lease == std::chrono::seconds(3));
    CHECK(parse({})->etcd.empty());

    const char* const etcd = "http://127.0.0.1:2379";
    CHECK(contains(refusal({"--etcd", etcd}), "--node"));
    CHECK(contains(refusal({"--etcd", etcd, "--node", "a"}), "--secret-file"));
    CHECK(contains(refusal({"--etcd", etcd, "--node", "a", "--secret-file", "s"}), "--listen"));
    CHECK(contains(refusal({"--etcd", etcd, "--node", "a", "--secret-file", "s", "--listen",
                            "127.0.0.1:1", "--peer", "b=127.0.0.1:2"}),
                   "exclude"));
    CHECK(contains(refusal({"--etcd", "127.0.0.1:2379"}), "--etcd 127.0.0.1:2379"));
    CHECK(contains(refusal({"--shards", "0"}), "--shards"));
    CHECK(contains(refusal({"--lease", "1"}), "--lease"));
}

TEST_CASE("notes options: what is wrong is said in one line", "[notes]") {
    CHECK(contains(refusal({"--bogus"}), "--bogus"));
    CHECK(contains(refusal({"--http", "localhost"}), "--http localhost"));
    CHECK(contains(refusal({"--threads", "0"}), "--threads"));
    CHECK(contains(refusal({"--threads", "many"}), "--threads"));
    CHECK(contains(refusal({"--node", "a b"}), "--node a b"));
    CHECK(contains(refusal({"--node", ""}), "--node"));
    CHECK(contains(refusal({"--listen", "127.0.0.1:1"}), "--listen and --peer"));
    CHECK(contains(refusal({"--peer", "b=127.0.0.1:1"}), "--listen and --peer"));
    CHECK(contains(refusal({"--secret-file", "x"}), "--secret-file"));
    CHECK(contains(refusal({"--peer", "127.0.0.1:1"}), "NAME=ADDRESS"));
    CHECK(contains(refusal({"--peer", "b=nowhere"}), "b=nowhere"));
    CHECK(contains(refusal({"--peer", "a=127.0.0.1:1"}), "own name"));
    CHECK(contains(refusal({"--peer", "b=127.0.0.1:1", "--peer", "b=127.0.0.1:2"}), "another"));
    CHECK(contains(refusal({"--listen", "x", "--peer", "b=127.0.0.1:1"}), "--listen x"));
    CHECK(contains(refusal({"--listen", "127.0.0.1:1", "--peer", "b=127.0.0.1:2"}), "--node"));
    CHECK(contains(refusal({"--listen", "127.0.0.1:1", "--peer", "b=127.0.0.1:2", "--node", "a"}),
                   "--secret-file"));
}

TEST_CASE("notes options: help is no error", "[notes]") {
    const auto given = parse({"--help"});
    REQUIRE_FALSE(given.has_value());
    CHECK(given.error().status == 0);
    for (const char* option : {"--http", "--node", "--listen", "--peer", "--etcd", "--shards",
                               "--lease", "--secret-file", "--data", "--threads"}) {
        CHECK(contains(given.error().text, option));
    }
}
