// Does random things to a channel and to a std::deque, and compares. Sends, waiting sends,
// receives, batches in and out, drops of waiting sends, restarts of the receiver; each waiting send
// is polled only when woken.

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include <heph/inbox/channel.hpp>

#include "inbox/probe.hpp"

using namespace heph::inbox;
using namespace heph::inbox::test;

namespace {

class model {
public:
    model(std::size_t capacity, unsigned seed)
        : capacity_(capacity), random_(seed), channel_(managed_channel<counted>(capacity)) {
        receiver_.emplace(std::move(std::get<receiver<counted>>(channel_)));
    }

    void step() {
        switch (random_() % 12) {
            case 0:
            case 1: try_send(); break;
            case 2:
            case 3: send(); break;
            case 4:
            case 5: try_recv(); break;
            case 6: drop_one(); break;
            case 7: send_batch(true); break;
            case 8: send_batch(false); break;
            case 9: recv_batch(); break;
            case 10: peek_all(); break;
            default: restart(); break;
        }
        run_woken();
        check();
    }

    void finish() {
        while (!queue_.empty() || !waiting_.empty()) {
            const std::size_t before = queue_.size() + waiting_.size();
            try_recv();
            run_woken();
            REQUIRE(queue_.size() + waiting_.size() < before);  // Nobody is stuck.
        }
        check();
    }

private:
    struct pending_send {
        pending_send(const sender<counted>& tx, int number, int& alive)
            : value(number), future(tx.emplace(number, alive)) {}
        int value;
        wake_counter woken;
        send_future<counted> future;
    };

    const sender<counted>& tx() const { return std::get<sender<counted>>(channel_); }

    void try_send() {
        auto sent = tx().try_emplace(next_, alive_);
        REQUIRE(sent.has_value() == (waiting_.empty() && queue_.size() < capacity_));
        if (sent) { queue_.push_back(next_); }
        ++next_;
    }

    void send() {
        auto made = std::make_unique<pending_send>(tx(), next_, alive_);
        const bool done = made->future.poll(made->woken.get()).is_ready();
        REQUIRE(done == (waiting_.empty() && queue_.size() < capacity_));
        if (done) {
            queue_.push_back(next_);
        } else {
            waiting_.push_back(std::move(made));
        }
        ++next_;
    }

    void try_recv() {
        auto got = receiver_->try_recv();
        REQUIRE(got.has_value() == !queue_.empty());
        if (!got) { return; }
        REQUIRE(got->value() == queue_.front());
        queue_.pop_front();
    }

    // All of it or as much as fits; what was not sent stays as it is.
    void send_batch(bool all) {
        const std::size_t count = random_() % (capacity_ + 3);
        std::vector<counted> batch;
        for (std::size_t i = 0; i < count; ++i) {
            batch.emplace_back(next_ + static_cast<int>(i), alive_);
        }
        const std::size_t room = waiting_.empty() ? capacity_ - queue_.size() : 0;
        std::size_t sent = 0;
        if (all) {
            const auto done = tx().try_send_all(batch);
            REQUIRE(done.has_value() == (count <= room));
            sent = done ? count : 0;
        } else {
            const auto done = tx().try_send_many(batch);
            REQUIRE(done.has_value() == (count == 0 || room != 0));
            sent = done ? *done : 0;
            REQUIRE(sent == std::min(count, room));
        }
        for (std::size_t i = 0; i < sent; ++i) { queue_.push_back(next_ + static_cast<int>(i)); }
        for (std::size_t i = sent; i < count; ++i) {
            REQUIRE(batch[i].value() == next_ + static_cast<int>(i));
        }
        next_ += static_cast<int>(count);
    }

    void recv_batch() {
        std::vector<counted> got;
        const std::size_t limit = random_() % (capacity_ + 2);
        REQUIRE(receiver_->try_recv_many(got, limit) == std::min(limit, queue_.size()));
        for (const counted& one : got) {
            REQUIRE(one.value() == queue_.front());
            queue_.pop_front();
        }
    }

    void peek_all() {
        for (std::size_t i = 0; i < queue_.size(); ++i) {
            const counted* shown = receiver_->try_peek_at(i);
            REQUIRE(shown != nullptr);
            REQUIRE(shown->value() == queue_[i]);
        }
        REQUIRE(receiver_->try_peek_at(queue_.size()) == nullptr);
    }

    void drop_one() {
        if (waiting_.empty()) { return; }
        const auto which = static_cast<std::ptrdiff_t>(random_() % waiting_.size());
        waiting_.erase(waiting_.begin() + which);
    }

    void restart() {
        receiver_.reset();
        auto made = std::get<manager<counted>>(channel_).new_receiver();
        REQUIRE(made.has_value());
        receiver_.emplace(std::move(*made));
    }

    // A send that has room must have been woken, in its turn.
    void run_woken() {
        while (!waiting_.empty() && queue_.size() < capacity_) {
            pending_send& first = *waiting_.front();
            REQUIRE(first.woken.take());
            REQUIRE(first.future.poll(first.woken.get()).is_ready());
            queue_.push_back(first.value);
            waiting_.pop_front();
        }
    }

    void check() {
        REQUIRE(static_cast<std::size_t>(alive_) == queue_.size() + waiting_.size());
        auto shown = receiver_->try_peek();
        REQUIRE(shown.has_value() == !queue_.empty());
        if (shown) { REQUIRE((*shown)->value() == queue_.front()); }
    }

    int alive_ = 0;
    int next_ = 0;
    std::size_t capacity_;
    std::mt19937 random_;
    std::tuple<manager<counted>, sender<counted>, receiver<counted>> channel_;
    std::optional<receiver<counted>> receiver_;
    std::deque<int> queue_;
    std::deque<std::unique_ptr<pending_send>> waiting_;
};

}  // namespace

TEST_CASE("channel: behaves like a bounded deque with a queue before it", "[inbox][model]") {
    const std::size_t capacity = GENERATE(1U, 2U, 3U, 8U, 11U);
    for (unsigned seed = 0; seed < 20; ++seed) {
        INFO("capacity " << capacity << ", seed " << seed);
        model tried(capacity, seed);
        for (int i = 0; i < 500; ++i) { tried.step(); }
        tried.finish();
    }
}
