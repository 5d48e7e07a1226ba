// Our client, for tests against servers of others.
//
// Usage: heph_interop_client [OPTION...] URL...
//
//   --method NAME     GET, HEAD, POST, PUT, DELETE (default: GET)
//   --body N          sends N letters, with their length
//   --stream N        sends N letters, chunked
//   --redirects N     follows N redirects
//   --header A:B      sends a header
//   --proxy URL       goes through a proxy
//   --unix-socket P   asks at this path
//   --decompress yes  asks for compressed bodies, and decompresses them
//   --tls FILE        asks at https URLs, and believes the authorities of a PEM file
//   --certificate P   shows the certificate P.pem, whose key is P.key
//
// Asks for the URLs one after the other over one client, and prints of each answer a line "STATUS
// SIZE CHECKSUM" (FNV-1a, 32 bits), or "error MESSAGE".

#include <cstdint>
#include <cstdlib>
#include <expected>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/http/client.hpp>
#include <heph/http/method.hpp>
#include <heph/http/proxy.hpp>
#include <heph/http/tls.hpp>
#include <heph/rt/error.hpp>
#include <heph/rt/runtime.hpp>

#include "letters.hpp"

namespace {

namespace http = heph::http;
namespace tls = heph::rt::tls;
using heph::interop::letters;
using outcome = std::expected<void, http::error>;

struct orders {
    http::method method = http::method::get;
    std::optional<std::uint64_t> body;
    std::optional<std::uint64_t> stream;
    unsigned redirects = 0;
    bool decompress = false;
    std::optional<http::proxy> proxy;
    heph::rt::net::unix_address unix_socket;
    std::string authorities;
    std::string certificate;
    std::shared_ptr<const http::client_security> tls;
    std::vector<std::pair<std::string, std::string>> headers;
    std::vector<std::string> urls;
};

heph::task<outcome> write_letters(http::body_writer& to, std::uint64_t size) {
    const std::string text = letters(size);
    constexpr std::size_t step = 10'000;
    for (std::size_t at = 0; at < text.size(); at += step) {
        const auto written = co_await to.write(std::string_view(text).substr(at, step));
        if (!written) { co_return written; }
    }
    co_return outcome();
}

heph::task<std::expected<std::string, std::error_code>> ask(http::client& client,
                                                            const orders& given,
                                                            const std::string& url) {
    http::client_request request(given.method, url);
    for (const auto& [name, value] : given.headers) { request.set_header(name, value); }
    if (given.body) { request.set_body(letters(*given.body)); }
    if (given.stream) {
        request.set_stream(
            [size = *given.stream](http::body_writer& to) { return write_letters(to, size); });
    }
    auto answer = co_await client.send(std::move(request));
    if (!answer) { co_return std::unexpected(answer.error()); }
    std::uint64_t size = 0;
    std::uint32_t sum = 0x811c9dc5;
    for (;;) {
        const auto piece = co_await answer->next();
        if (!piece) { co_return std::unexpected(piece.error()); }
        if (piece->empty()) { break; }
        size += piece->size();
        for (const char c : *piece) { sum = (sum ^ static_cast<unsigned char>(c)) * 0x01000193; }
    }
    co_return std::to_string(static_cast<unsigned>(answer->status())) + " " + std::to_string(size) +
        " " + std::to_string(sum);
}

heph::task<> ask_all(heph::rt::worker worker, const orders& given, bool& failed) {
    http::client_options options;
    options.redirects_max = given.redirects;
    options.decompress = given.decompress;
    options.unix_socket = given.unix_socket;
    options.tls = given.tls;
    if (given.proxy) { options.proxies = http::proxy_rules(*given.proxy); }
    http::client client(worker, options);
    for (const std::string& url : given.urls) {
        const auto line = co_await ask(client, given, url);
        failed = failed || !line;
        std::cout << (line ? *line : "error " + line.error().message()) << std::endl;
    }
}

std::optional<orders> read(int count, char** arguments) {
    orders given;
    for (int i = 1; i < count; ++i) {
        const std::string_view option = arguments[i];
        if (!option.starts_with("--")) {
            given.urls.emplace_back(option);
            continue;
        }
        if (++i == count) { return {}; }
        const std::string value = arguments[i];
        if (option == "--method") {
            const auto method = http::parse_method(value);
            if (!method) { return {}; }
            given.method = *method;
        } else if (option == "--body") {
            given.body = std::strtoull(value.c_str(), nullptr, 10);
        } else if (option == "--stream") {
            given.stream = std::strtoull(value.c_str(), nullptr, 10);
        } else if (option == "--redirects") {
            given.redirects = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
        } else if (option == "--proxy") {
            const auto proxy = http::proxy::parse(value);
            if (!proxy) { return {}; }
            given.proxy = *proxy;
        } else if (option == "--unix-socket") {
            const auto path = heph::rt::net::unix_address::path(value);
            if (!path) { return {}; }
            given.unix_socket = *path;
        } else if (option == "--tls") {
            given.authorities = value;
        } else if (option == "--certificate") {
            given.certificate = value;
        } else if (option == "--decompress") {
            given.decompress = value == "yes";
        } else if (option == "--header" && value.find(':') != std::string::npos) {
            const std::size_t colon = value.find(':');
            given.headers.emplace_back(value.substr(0, colon), value.substr(colon + 1));
        } else {
            return {};
        }
    }
    if (given.urls.empty()) { return {}; }
    return given;
}

// Loads what TLS takes. Gives what is wrong with it, if anything.
std::expected<void, heph::rt::error> secure(orders& given) {
    tls::client_config config;
    auto authorities = tls::trust_store::load(given.authorities);
    if (!authorities) { return std::unexpected(authorities.error()); }
    config.authorities = std::move(*authorities);
    if (!given.certificate.empty()) {
        auto own = tls::certificate::load(given.certificate + ".pem", given.certificate + ".key");
        if (!own) { return std::unexpected(own.error()); }
        config.own = std::move(*own);
    }
    auto context = http::make_client_tls(std::move(config));
    if (!context) { return std::unexpected(context.error()); }
    given.tls = http::secured_by(std::move(*context));
    return {};
}

}  // namespace

int main(int count, char** arguments) {
    auto given = read(count, arguments);
    if (!given) {
        std::cerr << "usage: heph_interop_client [--method NAME] [--body N | --stream N] "
                     "[--redirects N] [--header A:B] [--proxy URL] [--unix-socket PATH] "
                     "[--decompress yes] [--tls FILE] [--certificate PREFIX] "
                     "URL...\n";
        return 2;
    }
    if (!given->authorities.empty()) {
        if (const auto secured = secure(*given); !secured) {
            return heph::rt::report(secured.error());
        }
    }
    auto runtime = heph::rt::setup{}.name("interop").threads(1).build();
    if (!runtime) { return heph::rt::report(runtime.error()); }
    bool failed = false;
    runtime->run_on_workers(
        [&](heph::rt::worker& worker) { worker.spawn_future(ask_all(worker, *given, failed)); });
    const int code = heph::rt::report(runtime->start());
    return failed ? 1 : code;
}
