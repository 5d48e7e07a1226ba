#include <heph/remote/asio.hpp>

#include <memory>
#include <random>
#include <utility>

#include <boost/asio/post.hpp>

#include <heph/inbox/asio.hpp>

#include "asio/asio_alarm.hpp"
#include "asio/asio_hosts.hpp"
#include "asio/asio_stream.hpp"
#include "node/environment.hpp"
#include "node/node_starter.hpp"

namespace heph::remote {

namespace detail {

namespace {

class [[nodiscard]] until_never {
public:
    using value_type = void;
    until_never() noexcept = default;
    polled<void> poll(const waker&) noexcept { return pending; }
};

/// Runs a node's tasks on a strand; any thread of its execution context may be the one. Whoever
/// awaits what the node gives may be on any thread.
class asio_environment final : public environment {
public:
    explicit asio_environment(boost::asio::any_io_executor executor)
        : strand_(boost::asio::make_strand(std::move(executor))) {}

    void spawn(task<> running) override {
        // An operation polls where it is initiated: that has to be the strand, and not this call.
        boost::asio::post(strand_, [executor = boost::asio::any_io_executor(strand_),
                                    running = std::move(running)]() mutable {
            async_await(executor, std::move(running), heph::detail::asio_spawned());
        });
    }
    steady_time now() const override { return std::chrono::steady_clock::now(); }
    task<> timer_at(steady_time when) override { return wait_for(asio_alarm(strand_, when)); }
    task<> stopping() override {
        until_never nobody_says;
        co_await nobody_says;
    }
    std::uint32_t random() override { return static_cast<std::uint32_t>(random_()); }

    task<stream_result> connect(node_address to) override {
        return asio_connect(strand_, std::move(to));
    }
    task<rt::net::resolved> resolve(host_name of) override {
        return asio_resolve(strand_, std::move(of));
    }
    task<stream_result> connect_any(std::vector<rt::net::endpoint> to) override {
        return asio_connect_any(strand_, std::move(to));
    }
    listen_result listen(const node_address& local) override {
        auto bound = bound_socket::bind(local);
        if (!bound) { return std::unexpected(bound.error()); }
        return asio_listener::make(strand_, std::move(*bound));
    }

private:
    // Takes the alarm, as this may be gone before it.
    static task<> wait_for(asio_alarm alarm) { co_await alarm; }

    asio_strand strand_;
    std::minstd_rand random_{std::random_device{}()};
};

}  // namespace

}  // namespace detail

namespace asio {

std::expected<node, rt::error> start(boost::asio::any_io_executor executor,
                                     const options& settings) {
    return detail::node_starter::start(
        std::make_shared<detail::asio_environment>(std::move(executor)), settings);
}

}  // namespace asio

}  // namespace heph::remote
