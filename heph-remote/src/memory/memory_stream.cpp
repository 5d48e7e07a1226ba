#include <utility>

#include "memory/memory_core.hpp"

namespace heph::remote::detail {

namespace {

class memory_stream final : public stream {
public:
    memory_stream(std::shared_ptr<memory_core> network, std::shared_ptr<environment> time,
                  std::shared_ptr<memory_link> link, bool dialed) noexcept
        : network_(std::move(network)),
          time_(std::move(time)),
          link_(std::move(link)),
          dialed_(dialed) {}
    ~memory_stream() override { network_->close(*link_, dialed_, true); }

    polled<chunk_result> poll_next(const waker& waker) override {
        for (;;) {
            auto got = network_->receive(*link_, dialed_, time_->now(), waker);
            if (got.failed) {
                return polled<chunk_result>(std::in_place, std::unexpect, got.failed);
            }
            if (got.is_there) {
                until_due_.reset();
                return polled<chunk_result>(std::in_place, rt::net::chunk(std::move(got.bytes)));
            }
            if (!got.due) { return pending; }
            if (!until_due_ || due_ != *got.due) {
                due_ = *got.due;
                until_due_.emplace(time_->timer_at(due_));
            }
            if (!until_due_->poll(waker).is_ready()) { return pending; }
            until_due_.reset();
        }
    }

    task<std::error_code> send_all(rt::buffer bytes) override {
        std::size_t sent = 0;
        while (sent < bytes.size()) {
            some_sent more(*this, bytes.bytes().subspan(sent));
            const auto count = co_await more;
            if (!count) { co_return count.error(); }
            sent += *count;
        }
        co_return std::error_code();
    }

    void shutdown(rt::net::shutdown_how how) noexcept override {
        if (how == rt::net::shutdown_how::receive) { return; }
        network_->close(*link_, dialed_, how == rt::net::shutdown_how::both);
    }

    std::string peer() const override {
        return "memory:" + link_->name + (dialed_ ? "" : " (accepted)");
    }

private:
    class [[nodiscard]] some_sent {
    public:
        using value_type = std::expected<std::size_t, std::error_code>;
        some_sent(memory_stream& by, std::span<const std::byte> bytes) noexcept
            : by_(&by), bytes_(bytes) {}
        polled<value_type> poll(const waker& waker) {
            auto sent =
                by_->network_->send(*by_->link_, by_->dialed_, bytes_, by_->time_->now(), waker);
            if (sent && *sent == 0) { return pending; }
            return polled<value_type>(std::in_place, std::move(sent));
        }

    private:
        memory_stream* by_;
        std::span<const std::byte> bytes_;
    };

    const std::shared_ptr<memory_core> network_;
    const std::shared_ptr<environment> time_;
    const std::shared_ptr<memory_link> link_;
    const bool dialed_;
    std::optional<task<>> until_due_;
    steady_time due_;
};

class memory_listener final : public listener {
public:
    memory_listener(std::shared_ptr<memory_core> network, std::shared_ptr<environment> time,
                    std::string name) noexcept
        : network_(std::move(network)), time_(std::move(time)), name_(std::move(name)) {}
    ~memory_listener() override { network_->stop_listening(name_); }

    std::expected<node_address, std::error_code> local() const override {
        return node_address(memory_name(name_));
    }
    task<stream_result> accept() override {
        next_link next(*this);
        auto link = co_await next;
        co_return stream_result(
            std::make_unique<memory_stream>(network_, time_, std::move(link), false));
    }

private:
    class [[nodiscard]] next_link {
    public:
        using value_type = std::shared_ptr<memory_link>;
        explicit next_link(memory_listener& at) noexcept : at_(&at) {}
        polled<value_type> poll(const waker& waker) {
            auto link = at_->network_->accept(at_->name_, waker);
            if (!link) { return pending; }
            return polled<value_type>(std::in_place, std::move(link));
        }

    private:
        memory_listener* at_;
    };

    const std::shared_ptr<memory_core> network_;
    const std::shared_ptr<environment> time_;
    const std::string name_;
};

}  // namespace

task<stream_result> memory_connect(std::shared_ptr<memory_core> network,
                                   std::shared_ptr<environment> time, std::string name) {
    if (!network) {
        co_return stream_result(std::unexpect,
                                std::make_error_code(std::errc::network_unreachable));
    }
    auto link = network->connect(name);
    if (!link) { co_return stream_result(std::unexpect, link.error()); }
    co_return stream_result(std::make_unique<memory_stream>(std::move(network), std::move(time),
                                                            std::move(*link), true));
}

listen_result memory_listen(const std::shared_ptr<memory_core>& network,
                            std::shared_ptr<environment> time, const std::string& name) {
    if (!network) { return std::unexpected(std::make_error_code(std::errc::network_unreachable)); }
    if (const std::error_code failed = network->listen(name)) { return std::unexpected(failed); }
    return std::make_unique<memory_listener>(network, std::move(time), name);
}

}  // namespace heph::remote::detail
