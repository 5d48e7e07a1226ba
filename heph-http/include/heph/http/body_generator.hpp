#pragma once

// Bodies made by a coroutine that yields their pieces.
//
//     http::body_generator rows(store* from) {
//         for (auto cursor = from->begin();;) {
//             const auto page = co_await cursor.next_page();  // Any future.
//             if (page.empty()) { co_return; }
//             co_yield to_lines(page);                        // Sent when the client can take it.
//         }
//     }
//
//     router.get("/rows", [kept](http::request&) {
//         return http::stream_of("text/plain", rows(kept));
//     });
//
// How it runs: it is suspended at its beginning, at a `co_yield`, or at a `co_await` whose future
// is not ready; `next` resumes it from the first two, and polls that future in the third. It is
// resumed only from such a poll, so the stack stays flat.

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <heph/http/response.hpp>
#include <heph/inbox/future.hpp>

namespace heph::http {

/// A coroutine whose `co_yield`s are the pieces of a body: a `heph::stream` of texts.
///
/// It runs only while it is asked for a piece, and so no faster than its client reads. In it,
/// `co_await` takes any future that is given by value, or by reference to one that stays.
///
/// *Errors*: what it throws comes out of `next`. *Cancellation*: destroying it, where it is
/// suspended, with its locals; so it ends when the client has gone.
/// *Thread safety*: unsafe. *Lifetime*: its parameters are values, or outlive it; a lambda has
/// parameters instead of captures.
class [[nodiscard]] body_generator {
public:
    class promise_type;

    body_generator(body_generator&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)) {}
    body_generator& operator=(body_generator&& other) noexcept {
        const body_generator old(std::move(*this));
        handle_ = std::exchange(other.handle_, nullptr);
        return *this;
    }
    ~body_generator();

    /// Waits for the next piece; nothing is the end. See `next`.
    class [[nodiscard]] next_future {
    public:
        using value_type = std::optional<std::string_view>;
        explicit next_future(body_generator& of) noexcept : of_(&of) {}
        polled<value_type> poll(const waker& waker);

    private:
        body_generator* of_;
    };

    /// Gives the next piece; nothing is the end, given each time from then on.
    /// *Cancellation*: loses nothing. *Lifetime*: the piece is valid until the next call.
    [[nodiscard]] next_future next() noexcept { return next_future(*this); }

private:
    explicit body_generator(std::coroutine_handle<promise_type> handle) noexcept
        : handle_(handle) {}

    std::coroutine_handle<promise_type> handle_;  // Null once it has ended.
};

/// What the compiler needs of a `body_generator`.
class body_generator::promise_type {
    static constexpr unsigned ready_awaits_max = 128;

    struct leaf {
        virtual bool poll(const waker& waker) noexcept = 0;

    protected:
        ~leaf() = default;
    };

    // Waits for one future, which is kept where it is when it was given by reference.
    template <typename Held>
    class awaiter final : leaf {
    public:
        using future_type = std::remove_cvref_t<Held>;
        using value_type = typename future_type::value_type;

        awaiter(promise_type& promise, Held&& held)
            : promise_(&promise), held_(std::forward<Held>(held)) {}
        awaiter(const awaiter&) = delete;
        awaiter& operator=(const awaiter&) = delete;
        ~awaiter() = default;

        bool await_ready() noexcept {
            if (!poll(*promise_->waker_)) { return false; }
            if (++promise_->ready_awaits_ < ready_awaits_max) { return true; }
            // Who never has to wait shares its worker all the same.
            promise_->waker_->wake();
            return false;
        }
        void await_suspend(std::coroutine_handle<> /*self*/) noexcept { promise_->leaf_ = this; }
        value_type await_resume() {
            if (failure_) { std::rethrow_exception(std::move(failure_)); }
            if constexpr (!std::is_void_v<value_type>) { return std::move(*outcome_).value(); }
        }

    private:
        bool poll(const waker& waker) noexcept override {
            if (failure_ || (outcome_ && outcome_->is_ready())) { return true; }
            try {
                outcome_.emplace(held_.poll(waker));
            } catch (...) {
                // It belongs to who awaits, whoever polls.
                failure_ = std::current_exception();
                return true;
            }
            return outcome_->is_ready();
        }

        promise_type* promise_;
        Held held_;
        std::optional<polled<value_type>> outcome_;
        std::exception_ptr failure_;
    };

public:
    body_generator get_return_object() noexcept {
        return body_generator(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { failure_ = std::current_exception(); }

    /// Gives a piece that stays where it is until the coroutine goes on.
    std::suspend_always yield_value(std::string_view piece) noexcept {
        piece_ = piece;
        has_piece_ = true;
        return {};
    }
    std::suspend_always yield_value(const char* piece) noexcept {
        return yield_value(std::string_view(piece));
    }
    /// Gives a piece that is kept for it.
    std::suspend_always yield_value(std::string&& piece) noexcept {
        kept_ = std::move(piece);
        return yield_value(std::string_view(kept_));
    }
    std::suspend_always yield_value(const std::string& piece) noexcept {
        return yield_value(std::string_view(piece));
    }

    template <typename Future>
        requires future<std::remove_cvref_t<Future>>
    awaiter<Future> await_transform(Future&& awaited) {
        return awaiter<Future>(*this, std::forward<Future>(awaited));
    }

private:
    friend class body_generator;

    /// Runs the coroutine until it has a piece or its end, which is true, or has to wait.
    bool run(const waker& waker);

    const waker* waker_ = nullptr;  // While it runs.
    leaf* leaf_ = nullptr;          // What it waits for.
    unsigned ready_awaits_ = 0;     // Since it was resumed.
    std::exception_ptr failure_;
    std::string kept_;
    std::string_view piece_;
    bool has_piece_ = false;
};

/// Makes a response whose body is what a generator yields. What it throws cuts the connection, as
/// of any streamed body.
[[nodiscard]] response stream_of(std::string_view content_type, body_generator pieces,
                                 http::status status = http::status::ok);

}  // namespace heph::http
