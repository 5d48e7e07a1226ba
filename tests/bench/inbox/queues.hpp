#pragma once

// The queues that are compared, behind one small interface: `try_send` and `try_recv`, which do
// not wait, and `name`. `try_recv` gives the message to a function, so that each queue brings it
// out in its own best way: copying it once more would be timed as well. A thread that sends does so
// by an end of its own, which `sending_end` gives: what the queue has for that, or the queue.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include <heph/inbox/channel.hpp>

#if defined(HEPH_BENCH_BOOST)
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/lockfree/queue.hpp>
#endif
#if defined(HEPH_BENCH_MOODYCAMEL)
#include <concurrentqueue/concurrentqueue.h>
#endif
#if defined(HEPH_BENCH_TBB)
#include <oneapi/tbb/concurrent_queue.h>
#endif

namespace heph::bench {

/// A message of a given size, all of which is its content. It is filled in one sweep: a message
/// that is written in pieces and copied at once costs more than any of the queues, by store
/// forwarding.
template <std::size_t Bytes>
struct message {
    std::uint64_t words[Bytes / sizeof(std::uint64_t)];
    [[nodiscard]] std::uint64_t value() const { return words[0]; }
};

template <typename M>
M make_message(std::uint64_t value) {
    M made;
    for (std::uint64_t& word : made.words) { word = value; }
    return made;
}

template <typename M, typename Layout>
class any_inbox_channel {
public:
    explicit any_inbox_channel(std::size_t capacity)
        : any_inbox_channel(heph::inbox::channel<M, Layout>(capacity)) {}

    class end {
    public:
        explicit end(const heph::inbox::sender<M, Layout>& sender) : sender_(sender) {}
        bool try_send(const M& value) { return sender_.try_send(value).has_value(); }
        void send(const M& value) { (void)sender_.send_blocking(value); }

    private:
        heph::inbox::sender<M, Layout> sender_;
    };
    end sending_end() { return end(sender_); }

    bool try_send(const M& value) { return sender_.try_send(value).has_value(); }
    template <typename Use>
    bool try_recv(Use use) {
        const auto received = receiver_.try_recv();
        if (!received) { return false; }
        use(*received);
        return true;
    }
    M recv() { return *receiver_.recv_blocking(); }

private:
    using sender_type = heph::inbox::sender<M, Layout>;
    using receiver_type = heph::inbox::receiver<M, Layout>;

    explicit any_inbox_channel(std::pair<sender_type, receiver_type> ends)
        : sender_(std::move(ends.first)), receiver_(std::move(ends.second)) {}

    // Each of them belongs to its thread, as the ends of the bare queue do.
    alignas(64) sender_type sender_;
    alignas(64) receiver_type receiver_;
};

template <typename M>
class inbox_channel : public any_inbox_channel<M, heph::inbox::layout::compact> {
public:
    static constexpr const char* name = "heph-inbox";
    using any_inbox_channel<M, heph::inbox::layout::compact>::any_inbox_channel;
};

template <typename M>
class padded_inbox_channel : public any_inbox_channel<M, heph::inbox::layout::padded> {
public:
    static constexpr const char* name = "heph-inbox, padded";
    using any_inbox_channel<M, heph::inbox::layout::padded>::any_inbox_channel;
};

/// The bounded queue of https://www.1024cores.net/home/lock-free-algorithms/queues/, with a single
/// consumer. It cannot wait, has no ends, and no capacity but powers of two. Head and tail are in
/// cache lines of their own.
template <typename M>
class vyukov_queue {
public:
    static constexpr const char* name = "bare Vyukov queue";

    explicit vyukov_queue(std::size_t capacity)
        : cells_(std::make_unique<cell[]>(capacity)), mask_(capacity - 1) {
        for (std::size_t i = 0; i < capacity; ++i) { cells_[i].sequence = i; }
    }

    vyukov_queue& sending_end() { return *this; }

    bool try_send(const M& value) {
        std::size_t position = head_.load(std::memory_order_relaxed);
        for (;;) {
            cell& mine = cells_[position & mask_];
            const std::size_t sequence = mine.sequence.load(std::memory_order_acquire);
            const auto distance = static_cast<std::ptrdiff_t>(sequence - position);
            if (distance == 0) {
                if (head_.compare_exchange_weak(position, position + 1,
                                                std::memory_order_relaxed)) {
                    mine.value = value;
                    mine.sequence.store(position + 1, std::memory_order_release);
                    return true;
                }
            } else if (distance < 0) {
                return false;
            } else {
                position = head_.load(std::memory_order_relaxed);
            }
        }
    }

    template <typename Use>
    bool try_recv(Use use) {
        cell& next = cells_[tail_ & mask_];
        if (next.sequence.load(std::memory_order_acquire) != tail_ + 1) { return false; }
        const M out = next.value;
        next.sequence.store(tail_ + mask_ + 1, std::memory_order_release);
        ++tail_;
        use(out);
        return true;
    }

private:
    struct cell {
        std::atomic<std::size_t> sequence;
        M value;
    };
    std::unique_ptr<cell[]> cells_;
    std::size_t mask_;
    alignas(64) std::atomic<std::size_t> head_ = 0;
    alignas(64) std::size_t tail_ = 0;
};

/// What one writes without a library.
template <typename M>
class mutex_queue {
public:
    static constexpr const char* name = "mutex and deque";

    explicit mutex_queue(std::size_t capacity) : capacity_(capacity) {}

    mutex_queue& sending_end() { return *this; }

    bool try_send(const M& value) {
        {
            const std::lock_guard lock(mutex_);
            if (queue_.size() == capacity_) { return false; }
            queue_.push_back(value);
        }
        not_empty_.notify_one();
        return true;
    }
    template <typename Use>
    bool try_recv(Use use) {
        M out;
        {
            const std::lock_guard lock(mutex_);
            if (queue_.empty()) { return false; }
            out = queue_.front();
            queue_.pop_front();
        }
        not_full_.notify_one();
        use(out);
        return true;
    }
    void send(const M& value) {
        {
            std::unique_lock lock(mutex_);
            not_full_.wait(lock, [this] { return queue_.size() < capacity_; });
            queue_.push_back(value);
        }
        not_empty_.notify_one();
    }
    M recv() {
        M got{};
        {
            std::unique_lock lock(mutex_);
            not_empty_.wait(lock, [this] { return !queue_.empty(); });
            got = queue_.front();
            queue_.pop_front();
        }
        not_full_.notify_one();
        return got;
    }

private:
    std::mutex mutex_;
    std::condition_variable not_empty_;
    std::condition_variable not_full_;
    std::deque<M> queue_;
    std::size_t capacity_;
};

#if defined(HEPH_BENCH_BOOST)
/// Its nodes come from a free list of `capacity` nodes. It orders nothing but each sender's own.
template <typename M>
class boost_queue {
public:
    static constexpr const char* name = "boost::lockfree";
    explicit boost_queue(std::size_t capacity) : queue_(capacity) {}
    boost_queue& sending_end() { return *this; }
    bool try_send(const M& value) { return queue_.bounded_push(value); }
    template <typename Use>
    bool try_recv(Use use) {
        M out;
        if (!queue_.pop(out)) { return false; }
        use(out);
        return true;
    }

private:
    boost::lockfree::queue<M> queue_;
};

/// Guards its queue by a mutex. It is asked without waiting here, so its executor does not run.
template <typename M>
class asio_channel {
public:
    static constexpr const char* name = "Boost.Asio channel";
    explicit asio_channel(std::size_t capacity) : channel_(context(), capacity) {}
    asio_channel& sending_end() { return *this; }
    bool try_send(const M& value) { return channel_.try_send(boost::system::error_code(), value); }
    template <typename Use>
    bool try_recv(Use use) {
        return channel_.try_receive([&](boost::system::error_code, const M& got) { use(got); });
    }

private:
    static boost::asio::io_context& context() {
        static boost::asio::io_context shared;
        return shared;
    }
    boost::asio::experimental::concurrent_channel<void(boost::system::error_code, M)> channel_;
};
#endif

#if defined(HEPH_BENCH_MOODYCAMEL)
/// It holds some more than `capacity`, in blocks, of which each sender keeps those that it got. So
/// a sender has its first one made where the others have taken all: it would wait for ever for one
/// of a sender that is done. Otherwise it allocates nothing after its start.
template <typename M>
class moodycamel_queue {
public:
    static constexpr const char* name = "moodycamel";
    explicit moodycamel_queue(std::size_t capacity) : queue_(capacity, 3, 1) {}

    class end {
    public:
        explicit end(moodycamel::ConcurrentQueue<M>& queue) : queue_(&queue), token_(queue) {}
        bool try_send(const M& value) {
            if (has_block_) [[likely]] { return queue_->try_enqueue(token_, value); }
            has_block_ = queue_->enqueue(token_, value);
            return has_block_;
        }

    private:
        moodycamel::ConcurrentQueue<M>* queue_;
        moodycamel::ProducerToken token_;
        bool has_block_ = false;
    };
    end sending_end() { return end(queue_); }
    bool try_send(const M& value) { return queue_.try_enqueue(value); }
    template <typename Use>
    bool try_recv(Use use) {
        M out;
        if (!queue_.try_dequeue(out)) { return false; }
        use(out);
        return true;
    }

private:
    moodycamel::ConcurrentQueue<M> queue_;
};
#endif

#if defined(HEPH_BENCH_TBB)
template <typename M>
class tbb_queue {
public:
    static constexpr const char* name = "tbb bounded queue";
    explicit tbb_queue(std::size_t capacity) {
        queue_.set_capacity(static_cast<std::ptrdiff_t>(capacity));
    }
    tbb_queue& sending_end() { return *this; }
    bool try_send(const M& value) { return queue_.try_push(value); }
    template <typename Use>
    bool try_recv(Use use) {
        M out;
        if (!queue_.try_pop(out)) { return false; }
        use(out);
        return true;
    }
    void send(const M& value) { queue_.push(value); }
    M recv() {
        M got{};
        queue_.pop(got);
        return got;
    }

private:
    tbb::concurrent_bounded_queue<M> queue_;
};
#endif

template <template <typename> typename... Queues>
struct queue_list {};

/// Who can be compared. The second one is what all are compared to; the third one is ours, too.
using all_queues = queue_list<inbox_channel, vyukov_queue, padded_inbox_channel, mutex_queue
#if defined(HEPH_BENCH_BOOST)
                              ,
                              boost_queue, asio_channel
#endif
#if defined(HEPH_BENCH_MOODYCAMEL)
                              ,
                              moodycamel_queue
#endif
#if defined(HEPH_BENCH_TBB)
                              ,
                              tbb_queue
#endif
                              >;

/// Those that can wait, with `send` and `recv`. The second one is what all are compared to.
using blocking_queues = queue_list<inbox_channel, mutex_queue
#if defined(HEPH_BENCH_TBB)
                                   ,
                                   tbb_queue
#endif
                                   >;

}  // namespace heph::bench
