#include "transport.hpp"

#include <unistd.h>

namespace heph::remote::detail {

namespace {

constexpr std::string_view unix_prefix = "unix:";

template <typename T>
std::expected<node_address, std::error_code> address_of(std::expected<T, std::error_code> parsed) {
    if (!parsed) { return std::unexpected(parsed.error()); }
    return node_address(node_address::value(std::move(*parsed)));
}

template <typename T>
stream_result stream_of(std::expected<T, std::error_code> stream) {
    if (!stream) { return std::unexpected(stream.error()); }
    return any_stream(std::move(*stream));
}

}  // namespace

std::expected<node_address, std::error_code> node_address::parse(std::string_view text) {
    if (!text.starts_with(unix_prefix)) { return address_of(rt::net::endpoint::parse(text)); }
    const std::string_view name = text.substr(unix_prefix.size());
    if (name.starts_with('@')) {
        return address_of(rt::net::unix_address::abstract(name.substr(1)));
    }
    return address_of(rt::net::unix_address::path(name));
}

std::string node_address::to_string() const {
    if (const auto* at = std::get_if<rt::net::endpoint>(&where_)) { return at->to_string(); }
    return std::string(unix_prefix) + std::get<rt::net::unix_address>(where_).to_string();
}

bool node_address::is_dialable() const noexcept {
    const auto* at = std::get_if<rt::net::endpoint>(&where_);
    return at == nullptr || at->port() != 0;
}

bool node_address::is_any() const {
    const std::string text = to_string();
    return text.starts_with("0.0.0.0:") || text.starts_with("[::]:");
}

std::string any_stream::peer() const {
    if (const auto* tcp = std::get_if<rt::net::tcp_stream>(&stream_)) {
        const auto from = tcp->peer_endpoint();
        return from ? from->to_string() : std::string("an unknown address");
    }
    const auto who = std::get<rt::net::unix_stream>(stream_).credentials();
    return std::string(unix_prefix) +
           (who ? "process " + std::to_string(who->process_id()) : std::string("unknown"));
}

task<stream_result> connect_to(node_address to) {
    if (const auto* at = std::get_if<rt::net::endpoint>(&to.where())) {
        auto stream = co_await rt::net::tcp_stream::connect(*at);
        co_return stream_of(std::move(stream));
    }
    const rt::net::unix_address at = std::get<rt::net::unix_address>(to.where());
    auto connecting = rt::net::unix_stream::connect(at);
    auto stream = co_await connecting;
    co_return stream_of(std::move(stream));
}

std::expected<any_listener, std::error_code> any_listener::bind(const node_address& local) {
    if (const auto* at = std::get_if<rt::net::endpoint>(&local.where())) {
        auto bound = rt::net::tcp_listener::bind(*at);
        if (!bound) { return std::unexpected(bound.error()); }
        return any_listener(std::move(*bound), std::string());
    }
    const auto& at = std::get<rt::net::unix_address>(local.where());
    rt::net::unix_listen_options how;
    how.replace_stale = true;
    auto bound = rt::net::unix_listener::bind(at, how);
    if (!bound) { return std::unexpected(bound.error()); }
    return any_listener(std::move(*bound), at.is_abstract() ? std::string() : at.name());
}

any_listener::~any_listener() {
    if (!file_.empty()) { (void)::unlink(file_.c_str()); }
}

std::expected<node_address, std::error_code> any_listener::local() const {
    if (const auto* tcp = std::get_if<rt::net::tcp_listener>(&listener_)) {
        return address_of(tcp->local_endpoint());
    }
    return address_of(std::get<rt::net::unix_listener>(listener_).local_address());
}

task<stream_result> any_listener::accept() {
    if (auto* tcp = std::get_if<rt::net::tcp_listener>(&listener_)) {
        auto stream = co_await tcp->accept();
        co_return stream_of(std::move(stream));
    }
    auto stream = co_await std::get<rt::net::unix_listener>(listener_).accept();
    co_return stream_of(std::move(stream));
}

}  // namespace heph::remote::detail
