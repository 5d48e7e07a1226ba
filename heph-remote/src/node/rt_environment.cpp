#include "rt_environment.hpp"

#include <random>
#include <string>
#include <type_traits>

#include <heph/rt/detail/entropy.hpp>
#include <heph/rt/net/connect.hpp>
#include <heph/rt/net/resolve.hpp>
#include <heph/rt/stopping.hpp>
#include <heph/rt/timer.hpp>

namespace heph::remote::detail {

namespace {

std::string name_of_peer(const rt::net::tcp_stream& stream) {
    const auto from = stream.peer_endpoint();
    return from ? from->to_string() : std::string("an unknown address");
}

std::string name_of_peer(const rt::net::unix_stream& stream) {
    const auto who = stream.credentials();
    return "unix:" +
           (who ? "process " + std::to_string(who->process_id()) : std::string("unknown"));
}

std::string source_of(const rt::net::unix_stream& stream) {
    const auto who = stream.credentials();
    return who ? unix_source(who->user_id()) : name_of_peer(stream);
}

template <typename Socket>
class rt_stream final : public stream {
public:
    explicit rt_stream(Socket socket) noexcept : socket_(std::move(socket)) {}

    polled<chunk_result> poll_next(const waker& waker) override {
        return socket_.next().poll(waker);
    }
    std::expected<std::size_t, std::error_code> try_send(
        std::span<const std::byte> bytes) noexcept override {
        return socket_.try_send(bytes);
    }
    task<std::error_code> send_all(rt::buffer bytes) override {
        const auto sent = co_await socket_.send_all(std::move(bytes));
        co_return sent ? std::error_code() : sent.error();
    }
    task<std::error_code> send_pieces(std::vector<rt::buffer> pieces) override {
        auto sending = socket_.send_all_vectored(std::move(pieces));
        const auto sent = co_await sending;
        co_return sent ? std::error_code() : sent.error();
    }
    void shutdown(rt::net::shutdown_how how) noexcept override { socket_.shutdown(how); }
    std::string peer() const override { return name_of_peer(socket_); }
    std::string source() const override {
        if constexpr (std::is_same_v<Socket, rt::net::unix_stream>) {
            return source_of(socket_);
        } else {
            return stream::source();
        }
    }

private:
    Socket socket_;
};

template <typename Socket>
stream_result stream_of(std::expected<Socket, std::error_code> socket) {
    if (!socket) { return std::unexpected(socket.error()); }
    return std::make_unique<rt_stream<Socket>>(std::move(*socket));
}

class rt_listener final : public listener {
public:
    explicit rt_listener(bound_socket bound) noexcept : bound_(std::move(bound)) {}

    std::expected<node_address, std::error_code> local() const override { return bound_.local(); }
    task<stream_result> accept() override {
        if (auto* tcp = std::get_if<rt::net::tcp_listener>(&bound_.socket())) {
            auto socket = co_await tcp->accept();
            co_return stream_of(std::move(socket));
        }
        auto socket = co_await std::get<rt::net::unix_listener>(bound_.socket()).accept();
        co_return stream_of(std::move(socket));
    }

private:
    bound_socket bound_;
};

class rt_environment final : public environment {
public:
    explicit rt_environment(rt::worker worker) : worker_(worker) {}

    void spawn(task<> running) override { worker_.spawn_future(std::move(running)); }
    steady_time now() const override { return rt::clock::now(); }
    task<> timer_at(steady_time when) override { co_await rt::timer(when); }
    task<> stopping() override { co_await rt::stopping(); }
    std::uint32_t random() override { return static_cast<std::uint32_t>(random_()); }

    task<stream_result> connect(node_address to) override {
        if (const auto* at = std::get_if<rt::net::endpoint>(&to.where())) {
            auto socket = co_await rt::net::tcp_stream::connect(*at);
            co_return stream_of(std::move(socket));
        }
        const rt::net::unix_address at = std::get<rt::net::unix_address>(to.where());
        auto connecting = rt::net::unix_stream::connect(at);
        auto socket = co_await connecting;
        co_return stream_of(std::move(socket));
    }
    task<rt::net::resolved> resolve(host_name of) override {
        auto looking = rt::net::resolve(of.host(), of.port());
        co_return co_await looking;
    }
    task<stream_result> connect_any(std::vector<rt::net::endpoint> to) override {
        auto connecting = rt::net::connect_any(std::move(to));
        auto socket = co_await connecting;
        co_return stream_of(std::move(socket));
    }
    listen_result listen(const node_address& local) override {
        auto bound = bound_socket::bind(local);
        if (!bound) { return std::unexpected(bound.error()); }
        return std::make_unique<rt_listener>(std::move(*bound));
    }

private:
    rt::worker worker_;
    std::minstd_rand random_{rt::detail::random_number<std::uint32_t>()};
};

template <typename T>
std::expected<node_address, std::error_code> bound_address(std::expected<T, std::error_code> of) {
    if (!of) { return std::unexpected(of.error()); }
    return node_address(node_address::value(std::move(*of)));
}

}  // namespace

std::expected<bound_socket, std::error_code> bound_socket::bind(const node_address& local) {
    if (const auto* at = std::get_if<rt::net::endpoint>(&local.where())) {
        auto bound = rt::net::tcp_listener::bind(*at);
        if (!bound) { return std::unexpected(bound.error()); }
        return bound_socket(std::move(*bound));
    }
    const auto& at = std::get<rt::net::unix_address>(local.where());
    rt::net::unix_listen_options how;
    how.replace_stale = true;
    how.remove_file = true;
    how.in_use_wait = {};  // Who starts a node tries again, and blocks no thread.
    auto bound = rt::net::unix_listener::bind(at, how);
    if (!bound) { return std::unexpected(bound.error()); }
    return bound_socket(std::move(*bound));
}

std::expected<node_address, std::error_code> bound_socket::local() const {
    if (const auto* tcp = std::get_if<rt::net::tcp_listener>(&listener_)) {
        return bound_address(tcp->local_endpoint());
    }
    return bound_address(std::get<rt::net::unix_listener>(listener_).local_address());
}

std::shared_ptr<environment> on_worker(rt::worker worker) {
    return std::make_shared<rt_environment>(worker);
}

}  // namespace heph::remote::detail
