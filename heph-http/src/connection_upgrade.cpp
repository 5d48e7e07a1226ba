// What a connection does behind a 101 (Switching Protocols).

#include <algorithm>
#include <utility>

#include "connection.hpp"

namespace heph::http::detail {

namespace {

using namespace std::chrono_literals;

// A wait without a limit is cut into these.
constexpr auto receive_patience = std::chrono::milliseconds(1h);

}  // namespace

/// The connection as the other protocol's handler sees it.
class connection::upgraded final : public upgraded_stream {
public:
    // What HTTP needed is not needed further, by a connection that may be idle for days.
    upgraded(connection& owner, send_bounds slowest)
        : owner_(&owner),
          slowest_(slowest),
          received_(std::move(owner.work_->received)),
          input_(std::exchange(owner.work_->input, std::string_view())) {
        owner.give_work_space_back();
        owner.io_.send_by(&sending_);
    }
    upgraded(const upgraded&) = delete;
    upgraded& operator=(const upgraded&) = delete;
    ~upgraded() { owner_->io_.send_by(nullptr); }

    task<std::expected<std::string_view, std::error_code>> read() override {
        using result = std::expected<std::string_view, std::error_code>;
        const std::string_view waiting = std::exchange(input_, std::string_view());
        if (!waiting.empty()) { co_return result(waiting); }
        received_ = rt::net::chunk();
        for (;;) {
            owner_->io_.set_receive_deadline(receive_patience);
            auto received = co_await owner_->io_.receive(false);
            if (received) {
                received_ = std::move(*received);
                co_return result(received_.view());
            }
            if (received.error() != io_failure::timed_out) { co_return result(lost()); }
        }
    }

    task<std::expected<void, std::error_code>> write(std::string_view bytes) override {
        using result = std::expected<void, std::error_code>;
        connection_io& io = owner_->io_;
        for (;;) {
            if (io.sending()) { (void)co_await io.sent(); }
            if (io.send_failed()) { co_return result(lost()); }
            if (bytes.empty()) { co_return result(); }
            const std::string_view piece = bytes.substr(0, io.block_bytes_max());
            bytes.remove_prefix(piece.size());
            rt::buffer buffer = io.take_spare();
            buffer.append(piece);
            io.send(std::move(buffer), slowest_);
        }
    }

private:
    static std::unexpected<std::error_code> lost() noexcept {
        return std::unexpected(make_error_code(error::connection_lost));
    }

    connection* owner_;
    send_bounds slowest_;
    rt::net::chunk received_;
    std::string_view input_;  // What came behind the request, in `received_`.
    send_side sending_;
};

task<connection::step> connection::run_upgraded(response& reply) {
    const bool flushed = co_await flush();
    if (!flushed) { co_return step::close; }
    if (is_observed()) { end_exchange(true); }
    const send_bounds pace = slowest();
    upgraded stream(*this, pace);
    std::exception_ptr failure;
    try {
        co_await reply.upgraded()(stream);
    } catch (...) { failure = std::current_exception(); }
    if (failure) { report_failure(failure); }
    if (io_.sending()) { (void)co_await io_.sent(); }
    if (io_.send_failed()) {
        abort();
        co_return step::close;
    }
    take_work_space();
    co_await linger(false);
    co_return step::close;
}

}  // namespace heph::http::detail
