#pragma once

// Futures as asynchronous operations of Boost.Asio 1.81 or later. Only who includes this header
// needs Boost; heph-inbox itself does not.
//
//     co_await heph::async_await(receiver.recv())                  in a boost::asio::awaitable
//     heph::async_await(sender.send(7), token)                     any completion token
//     heph::async_await(executor, receiver.recv(), callback)       for handlers without an executor
//
// An operation is one allocation: the future, the completion handler, work guards, and what the
// future's wakers own a part of. It is polled by the executor that was named, or else by the
// handler's associated one; that one's execution context lists the operations that are not
// complete, so that it can destroy them with itself.
//
// States of an operation; the phases of its `detail::posted_poll` are in that header
//     initiated  --first poll, in the initiating function: value-->   completing
//     initiated  --first poll: pending-->                             waiting
//     waiting    --woken, or cancelled through its slot-->            posted
//     posted     --executor runs it: cancelled-->                     complete, operation_aborted
//     posted     --executor runs it: value-->                         complete
//     posted     --executor runs it: pending-->                       waiting
//     completing --executor runs it-->                                complete, with that value
//     any        --the execution context is destroyed-->              gone; no handler is called
//
// Invariants
//     1. The handler is called once, by its associated executor, never from the initiating
//        function, from a wake, or from a cancellation; or it is destroyed with the context.
//     2. The first poll happens in the initiating function. So sends queue in the order in which
//        they are initiated, whatever the executor does.
//     3. A cancellation that finds no value leaves the future unpolled: a receive takes no message,
//        a send sends none. One that comes later than the value changes nothing.
//     4. From the initiation until the handler has returned, work is outstanding on its associated
//        executor (and on the one that was named), so `run()` does not return.
//     5. When the handler is called, the future, the listing and the slot's handler are gone.
//     6. The handler's allocator is not used: wakes post from any thread, and most allocators are
//        for one. What is posted is one pointer.

#include <type_traits>
#include <utility>

#include <boost/asio/use_awaitable.hpp>

#include <heph/inbox/detail/asio_operation.hpp>
#include <heph/inbox/future.hpp>

namespace heph {

/// Waits for a future as an asynchronous operation of Boost.Asio: those of channels, heph-core's
/// tasks, any other. Within a `boost::asio::awaitable`, no token is needed:
/// `co_await heph::async_await(receiver.recv())`.
///
/// The completion signature of a future of `T` is `void(boost::system::error_code, T)`, or
/// `void(std::exception_ptr, T)` when polling it may throw; without the `T` for `void`. A `T` that
/// has no default becomes `std::optional<T>`, which has a value when there is no error.
///
/// *Requires*: the handler has an associated executor, as those of coroutines have; else name one.
/// *Errors*: `operation_aborted` after a cancellation, and whatever the future's `poll` throws.
/// *Thread safety*: the future is polled by the initiating function, and then by the executor;
/// wakes come from anywhere. As with all operations of Boost.Asio, a cancellation slot is
/// used where the handler's executor runs: on a context with several threads, use a strand.
/// *Cancellation*: per operation, all types, and without side effects: a receive takes no message,
/// a send is not sent, and its message is destroyed. An operation that has its value completes with
/// it. So, what loses a race after it was complete loses its value: race `receiver.peek()`, then
/// call `try_recv()`.
/// *Lifetime*: as for the future; given as an lvalue it is used by reference, has to outlive the
/// operation, and can be asked again after a cancellation. Destroying the execution context
/// destroys the operations that wait, without calling their handlers.
template <typename F, typename CompletionToken = boost::asio::use_awaitable_t<>>
    requires future<std::remove_cvref_t<F>>
auto async_await(F&& awaited, CompletionToken&& token = CompletionToken()) {
    return detail::asio_async_await<CompletionToken>(detail::asio_no_executor(),
                                                     std::forward<F>(awaited), token);
}

/// Waits like `async_await(future, token)`, but polls the future on `executor`, an executor or an
/// execution context, as if it was that of an I/O object. It also calls those handlers that have no
/// associated executor, as those of callbacks and of `use_future`.
template <typename Executor, typename F, typename CompletionToken = boost::asio::use_awaitable_t<>>
    requires(future<std::remove_cvref_t<F>> && !future<std::remove_cvref_t<Executor>>)
auto async_await(Executor&& executor, F&& awaited, CompletionToken&& token = CompletionToken()) {
    if constexpr (requires { executor.get_executor(); }) {
        return detail::asio_async_await<CompletionToken>(executor.get_executor(),
                                                         std::forward<F>(awaited), token);
    } else {
        return detail::asio_async_await<CompletionToken>(std::decay_t<Executor>(executor),
                                                         std::forward<F>(awaited), token);
    }
}

}  // namespace heph
