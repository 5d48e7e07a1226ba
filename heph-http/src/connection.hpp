#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <heph/core/task.hpp>
#include <heph/http/h1/request_parser.hpp>
#include <heph/http/h1/response_writer.hpp>
#include <heph/http/limits.hpp>
#include <heph/http/request.hpp>
#include <heph/http/response.hpp>
#include <heph/http/router.hpp>

#include "connection_io.hpp"
#include "idle_list.hpp"
#include "work_space.hpp"
#include "worker_share.hpp"

namespace heph::http::detail {

/// Serves one connection: requests in, responses out, in order.
///
///     idle --first byte--> head --complete--> handler --response written--> idle
///     head, handler --bad input--> error answered --> lingering --> closed
///
/// Invariants
///     1. Responses are gathered in `work_->out`, and leave when there is nothing more to answer:
///        the replies to pipelined requests leave in one write. Whatever waits for the client or
///        for a handler sends them first.
///     2. `work_->out` is bounded: no request is read while it holds `gathered_bytes_max` or more,
///        and what is large of a body is sent from where it is.
///     3. `work_->received` holds one of the worker's shared buffers only while there are bytes of
///        it in `work_->input`.
///     4. The head of a streamed response is held back until its producer writes something, so that
///        a failure before that can still be answered.
///     5. A wait may be dropped anywhere: what is being sent belongs to `io_`. A whole answer is
///     sent
///        quietly where that is allowed: the connection waits for its next request at once, and
///        keeps its work space until it finds that the answer is gone. It does not end before.
///     6. A body whose end is that of the connection is ended by a reset unless all of it was sent;
///        over a Unix socket, which knows no resets, nobody can tell.
/// *Lifetime*: `share` outlives it. It does not move.
class connection final : public idle_link,
                         body_reader,
                         body_writer,
                         interim_sender,
                         client_watcher,
                         failure_handler {
public:
    /// `peer` is who is at the other end, as far as that is known.
    connection(rt::net::tcp_stream stream, worker_share& share,
               std::optional<rt::net::endpoint> peer = {});
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection();

    /// Serves until either side ends the connection.
    task<void> run();

    /// Shakes hands; tells whether the connection can be served. A peer that speaks plain text is
    /// told so.
    task<bool> secure(const server_security& security);

    /// Tells whether it has waited for its first request for so long.
    /// *Requires*: it is in the worker's list of those that do.
    [[nodiscard]] bool has_been_silent(std::chrono::milliseconds grace) const;

    /// Ends it while it waits for a request, so that another one has its place.
    /// *Requires*: it is in one of the worker's lists.
    void make_room() noexcept;

    /// Announces the end to a secured peer, unless what it got is not all.
    task<void> close();

    /// Answers one error and ends the connection, whatever was sent.
    /// `in_head` tells whether it is a head that the parser has seen, which observers are told of.
    task<void> refuse(error failure, method asked_by = method::get, bool in_head = false);

private:
    friend class connection_io;  // Calls `take_received` and `note_sent`.
    enum class step : std::uint8_t { go_on, close };

    // The request's body and the streamed response, in connection_body.cpp.
    task<std::expected<std::string_view, error>> next() override;
    task<std::expected<void, error>> write(std::string_view piece) override;
    task<std::expected<void, error>> write_file(const rt::fs::file& from, std::uint64_t offset,
                                                std::uint64_t size) override;
    task<std::expected<void, error>> send_file(const rt::fs::file* from, std::uint64_t offset,
                                               std::uint64_t size);
    task<std::expected<void, error>> send_file_pieces(const rt::fs::file* from,
                                                      std::uint64_t offset, std::uint64_t size);
    task<void> gone() override;
    std::expected<void, error> add_trailer(std::string_view name, std::string_view value) override;
    task<std::expected<void, error>> send_interim(http::status status,
                                                  const http::headers& fields) override;
    task<std::expected<void, error>> receive_body_bytes();
    task<step> skip_body();
    task<step> stream_body(response& reply);
    task<std::expected<void, error>> produce(response& reply);
    [[nodiscard]] std::chrono::milliseconds body_patience() const noexcept;
    [[nodiscard]] bool announces_too_much() const noexcept;

    // The other protocol behind a 101, in connection_upgrade.cpp.
    class upgraded;
    task<step> run_upgraded(response& reply);

    void begin_to_receive();
    void take_extension(h1::event& refused);
    void take_received(rt::net::chunk&& bytes);
    task<step> nothing_received(arrival came);
    std::optional<task<step>> begin_answer();
    task<step> answer(const handler* found);
    task<step> finish(response reply);
    task<step> end_request();
    bool send_quietly();
    void end_quiet() noexcept;
    void note_sent();
    void note_flushed();
    void clear_work_space();
    task<bool> flush();
    task<bool> send_rest(std::shared_ptr<const std::string> body, std::size_t size);
    task<void> linger(bool all_read);
    void begin_request();
    void write_head(response& reply);
    response call(const handler& direct);
    void take_work_space();
    void give_work_space_back();
    [[nodiscard]] bool has_output() const noexcept {
        return work_->out_sent != out_end() || io_.sending();
    }
    [[nodiscard]] std::size_t out_end() const noexcept {
        return holds_head_ ? work_->head_at : work_->out.size();
    }
    [[nodiscard]] bool has_gathered_enough() const noexcept {
        return work_->out.size() - work_->out_sent >= bounds().gathered_bytes_max;
    }
    [[nodiscard]] bool may_keep_alive(const response& reply) const noexcept;
    [[nodiscard]] const limits& bounds() const noexcept { return *share_->limits; }
    /// *Requires*: there is a work space.
    [[nodiscard]] send_bounds slowest() const noexcept {
        const transfer_pace pace = work_->request.send_pace();
        return {pace.pause, pace.bytes_per_second_min};
    }
    void take_default_paces() noexcept;
    class watch_future;
    void wake_watcher() noexcept;
    // What is told of requests, in connection_exchange.cpp.
    [[nodiscard]] bool is_observed() const noexcept {
        return work_->told.open && (share_->observed || work_->request.is_observed());
    }
    task<void> finish_exchange();
    void end_exchange(bool complete) noexcept;
    void tell(exchange what) noexcept;
    void tell_refused(error why, std::string_view first_line, std::optional<status> answered,
                      bool complete) noexcept;
    [[nodiscard]] std::uint64_t body_bytes_sent(bool complete) noexcept;
    void note_answer(status answered) noexcept;
    // What went wrong, in connection_errors.cpp.
    response overloaded();
    response failed(const std::exception_ptr& failure);
    void report_failure(const std::exception_ptr& failure) noexcept override;
    response answer_error(error failure) override;
    std::optional<response> page_for(error why, const response& plain, const request_head* asked);
    [[nodiscard]] std::string asked_for();
    bool is_misdirected() noexcept;
    static response misdirected();
    void log_bad(error failure) noexcept { log_bad(message(failure)); }
    void log_bad(std::string_view what) noexcept;
    void abort() noexcept;

    worker_share* share_;
    connection_io io_;
    std::optional<rt::net::endpoint> peer_;
    h1::request_parser parser_;
    std::unique_ptr<work_space> work_;  // Null while it waits for a request, or nearly so.
    // Of the current request's body.
    std::optional<error> body_failure_;
    bool body_done_ = true;
    bool skips_body_ = false;  // The handler is done with it.
    bool owes_continue_ = false;
    bool answered_ = false;       // The head of the response was written.
    bool holds_head_ = false;     // What is in `work_->out` from `work_->head_at` on waits.
    bool head_deadline_ = false;  // The time for a head is running.
    bool asked_before_ = false;   // There was a request.
    bool ends_body_by_closing_ = false;
    bool client_gone_ = false;    // It ended its side while a body was produced, or broke.
    bool aborted_ = false;        // The peer did not get all: no end is to be announced.
    bool complained_ = false;     // A line was logged about this client.
    bool makes_room_ = false;     // It ends for another one.
    bool sends_quietly_ = false;  // An answer is on its way, see `send_quietly`.
};

}  // namespace heph::http::detail
