#include "options.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include <heph/rt/net/endpoint.hpp>

namespace notes {

namespace {

constexpr int usage_error = 2;
constexpr std::size_t name_bytes_max = 64;

std::unexpected<early_exit> wrong(std::string why) {
    return std::unexpected(early_exit{usage_error, std::move(why)});
}

bool is_node_name(std::string_view name) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    };
    return !name.empty() && name.size() <= name_bytes_max && std::ranges::all_of(name, allowed);
}

bool is_address(std::string_view text) { return heph::rt::net::endpoint::parse(text).has_value(); }

std::expected<peer, early_exit> parse_peer(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
        return wrong("--peer " + text + ": NAME=ADDRESS is expected, such as b=127.0.0.1:9002");
    }
    peer made{text.substr(0, equals), text.substr(equals + 1)};
    if (!is_node_name(made.name)) {
        return wrong("--peer " + text +
                     ": a node's name has 1 to 64 letters, digits, '-', '_', '.'");
    }
    if (!is_address(made.address)) {
        return wrong("--peer " + text + ": an address such as 127.0.0.1:9002 is expected");
    }
    return made;
}

std::expected<options, early_exit> check_cluster(options given, bool has_node) {
    for (const std::string& url : given.etcd) {
        if (!url.starts_with("http://")) {
            return wrong("--etcd " + url + ": a URL such as http://127.0.0.1:2379 is expected");
        }
    }
    if (!given.peers.empty()) {
        return wrong("--etcd and --peer exclude each other: etcd tells where the others are");
    }
    if (!has_node || given.secret_file.empty()) {
        return wrong(
            "--etcd needs --node and --secret-file: nodes are known by name, and prove "
            "that they share a secret");
    }
    if (!is_address(given.listen)) {
        return wrong("--etcd needs --listen with an address such as 127.0.0.1:9001");
    }
    return given;
}

std::expected<options, early_exit> check(options given, const std::vector<std::string>& peers,
                                         bool has_node) {
    if (!is_address(given.http)) {
        return wrong("--http " + given.http + ": an address such as 127.0.0.1:8080 is expected");
    }
    if (!is_node_name(given.node)) {
        return wrong("--node " + given.node +
                     ": a node's name has 1 to 64 letters, digits, '-', '_', '.'");
    }
    for (const std::string& text : peers) {
        auto parsed = parse_peer(text);
        if (!parsed) { return std::unexpected(std::move(parsed.error())); }
        if (parsed->name == given.node) {
            return wrong("--peer " + text + ": that is this node's own name");
        }
        if (std::ranges::find(given.peers, parsed->name, &peer::name) != given.peers.end()) {
            return wrong("--peer " + text + ": there is another peer of this name");
        }
        given.peers.push_back(std::move(*parsed));
    }
    if (!given.etcd.empty()) { return check_cluster(std::move(given), has_node); }
    if (given.listen.empty() != given.peers.empty()) {
        return wrong("--listen and --peer need each other: linked nodes connect both ways");
    }
    if (given.listen.empty()) {
        if (!given.secret_file.empty()) {
            return wrong("--secret-file is for linked nodes: it needs --listen and --peer");
        }
        return given;
    }
    if (!is_address(given.listen)) {
        return wrong("--listen " + given.listen +
                     ": an address such as 127.0.0.1:9001 is expected");
    }
    if (!has_node) { return wrong("--listen needs --node: linked nodes are known by name"); }
    if (given.secret_file.empty()) {
        return wrong("--listen needs --secret-file: linked nodes prove that they share a secret");
    }
    return given;
}

}  // namespace

std::expected<options, early_exit> parse_options(int argc, const char* const* argv) {
    options given;
    std::vector<std::string> peers;
    int lease = static_cast<int>(given.lease.count());
    CLI::App app("Keeps notes, and serves them over HTTP, on one node or on several linked ones.",
                 "notes");
    app.add_option("--http", given.http, "Address to serve HTTP on")
        ->type_name("ADDRESS:PORT")
        ->capture_default_str();
    auto* node = app.add_option("--node", given.node, "Name of this node")
                     ->type_name("NAME")
                     ->capture_default_str();
    app.add_option("--listen", given.listen, "Address on which other nodes reach this one")
        ->type_name("ADDRESS:PORT");
    app.add_option("--peer", peers, "Another node, b=127.0.0.1:9002 for one; may be repeated")
        ->type_name("NAME=ADDRESS:PORT")
        ->take_all()
        ->allow_extra_args(false);
    app.add_option("--etcd", given.etcd,
                   "An etcd that tells where the other nodes are; may be repeated for its members")
        ->type_name("URL")
        ->take_all()
        ->allow_extra_args(false);
    app.add_option("--shards", given.shards,
                   "Into how many shards notes are divided, 1 to 1024, with --etcd; the same at "
                   "all nodes, and for ever")
        ->type_name("N")
        ->capture_default_str()
        ->check(CLI::Range(1, 1024));
    app.add_option("--lease", lease,
                   "Seconds after which others take over from a lost node, 2 to 60, with --etcd")
        ->type_name("SECONDS")
        ->capture_default_str()
        ->check(CLI::Range(2, 60));
    app.add_option("--secret-file", given.secret_file,
                   "File with the secret that all nodes share, 16 bytes or more, mode 0600")
        ->type_name("FILE");
    app.add_option("--data", given.data,
                   "Directory of this node's notes; with --etcd, of all nodes' notes")
        ->type_name("DIR")
        ->capture_default_str();
    app.add_option("--threads", given.threads, "Worker threads, 1 to 64")
        ->type_name("N")
        ->capture_default_str()
        ->check(CLI::Range(1, 64));
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        return std::unexpected(early_exit{0, app.help()});
    } catch (const CLI::ParseError& error) {
        return wrong(std::string(error.what()) + " (see --help)");
    }
    given.lease = std::chrono::seconds(lease);
    return check(std::move(given), peers, node->count() != 0);
}

}  // namespace notes
