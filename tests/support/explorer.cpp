#include "support/explorer.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <new>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "support/fiber.hpp"

namespace heph::test::explored {

namespace {

struct buffered_store {
    place* to;
    std::uint64_t value;
    vector_clock released;
};

enum class waiting : std::uint8_t { nothing, change, event, futex, futex_or_time, ended };

struct thread_state {
    std::function<void()>* body = nullptr;
    waiting waits = waiting::ended;
    bool chosen = false;  // To go on from a wait, or at its begin.
    const bool* event_set = nullptr;
    const place* futex = nullptr;
    std::uint64_t own_writes = 0;
    std::uint64_t seen_writes = 0;  // Of the others, when it last went on after a pause.
    bool looked = true;             // At anything since then.
    std::deque<buffered_store> buffer;
    vector_clock clock{};
    struct slot {
        const void* key;
        void* value;
        void (*destroy)(void*);
    };
    std::vector<slot> slots;
};

struct step {
    std::uint8_t thread;
    const char* what;
    const void* where;
    std::uint64_t value;
};

struct data_access {
    std::size_t writer = threads_max;
    std::uint32_t written = 0;
    vector_clock reads{};
};

struct block {
    void* memory;
    std::size_t bytes;
    std::size_t alignment;
    bool freed;
};

struct choice {
    std::uint8_t taken;
    std::uint8_t count;
};

bool acquires(std::memory_order order) {
    return order != std::memory_order_relaxed && order != std::memory_order_release;
}
bool releases(std::memory_order order) {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

class runtime {
public:
    runtime(const options& chosen, const std::function<void(program&)>& make)
        : options_(chosen), make_(make) {
        for (const std::uint8_t one : chosen.replay) { choices_.push_back({one, 0}); }
        replaying_ = !chosen.replay.empty();
    }

    outcome run() {
        outcome result;
        do {
            run_once();
            ++result.schedules;
            result.steps += steps_.size();
            if (!failure_.empty()) {
                result.failure = failure_;
                for (const choice& one : choices_) { result.choices.push_back(one.taken); }
                result.trace = describe();
                return result;
            }
            if (replaying_ || result.schedules == options_.schedules_max) { return result; }
        } while (next_schedule());
        result.complete = true;
        return result;
    }

    std::size_t choose(std::size_t count) {
        if (count <= 1) { return 0; }
        if (depth_ == choices_.size()) {
            choices_.push_back({0, static_cast<std::uint8_t>(count)});
        }
        choice& here = choices_[depth_++];
        if (here.count == 0) { here.count = static_cast<std::uint8_t>(count); }
        if (here.count != count || here.taken >= count) {
            fail("the program is not the same in each run, so it cannot be explored");
            return 0;
        }
        return here.taken;
    }

    [[noreturn]] void fail_running() {
        fibers_.abandon();
        std::abort();
    }
    void fail(const char* what) {
        if (failure_.empty()) { failure_ = what; }
        if (running_) { fail_running(); }
    }

    std::uint64_t load(place& from, std::memory_order order) {
        if (!running_) { return from.value; }
        point(from, "load");
        thread_state& me = mine();
        me.looked = true;
        for (auto one = me.buffer.rbegin(); one != me.buffer.rend(); ++one) {
            if (one->to == &from) { return note(one->value); }
        }
        show_others(from);
        if (acquires(order)) { join(me.clock, from.released); }
        return note(from.value);
    }

    void store(place& to, std::uint64_t value, std::memory_order order) {
        if (!running_) {
            to.value = value;
            return;
        }
        point(to, "store");
        thread_state& me = mine();
        me.buffer.push_back({&to, value, releases(order) ? me.clock : vector_clock{}});
        if (releases(order)) { ++me.clock[current_]; }
        if (order == std::memory_order_seq_cst) { empty(current_); }
        (void)note(value);
    }

    template <typename Change>
    std::uint64_t modify(place& at, const char* what, std::memory_order order, Change change) {
        if (!running_) {
            const std::uint64_t before = at.value;
            (void)change(at.value);
            return before;
        }
        point(at, what);
        empty(current_);
        show_others(at);
        thread_state& me = mine();
        me.looked = true;
        const std::uint64_t before = at.value;
        if (acquires(order)) { join(me.clock, at.released); }
        const bool written = change(at.value);
        if (written && releases(order)) {
            join(at.released, me.clock);  // It goes on with the release sequence it is in.
            ++me.clock[current_];
        }
        if (at.value != before) { ++me.own_writes, ++writes_; }
        (void)note(at.value);
        return before;
    }

    void fence(bool of_all) {
        if (!running_) { return; }
        point(of_all ? "heavy fence" : "full fence");
        empty(current_);
        for (std::size_t i = 0; of_all && i < count_; ++i) { empty(i); }
    }

    void pause() {
        if (!running_) { return; }
        count_step({current_byte(), "pause", nullptr, 0});
        wait_for_change();
    }

    void access(const void* what, bool writes) {
        if (!running_) { return; }
        check_memory(what);
        data_access& last = data_[what];
        const vector_clock& know = mine().clock;
        bool ordered = last.writer == threads_max || last.writer == current_ ||
                       last.written <= know[last.writer];
        for (std::size_t i = 0; writes && i < count_; ++i) {
            ordered = ordered && (i == current_ || last.reads[i] <= know[i]);
        }
        if (!ordered) {
            fail(writes ? "a race: written, but not ordered after another thread's access"
                        : "a race: read, but not ordered after another thread's write");
        }
        if (writes) {
            last = {current_, know[current_], {}};
        } else {
            last.reads[current_] = know[current_];
        }
    }

    bool futex_wait(place& on, std::uint64_t expected, bool may_time_out) {
        point(on, "futex wait");
        empty(current_);
        if (on.value != expected) { return true; }
        if (may_time_out && choose(2) == 1) { return false; }
        mine().futex = &on;
        block(may_time_out ? waiting::futex_or_time : waiting::futex);
        const bool woken = mine().futex == nullptr;
        mine().futex = nullptr;
        return woken;
    }
    void futex_wake(place& on) {
        point(on, "futex wake");
        empty(current_);
        for (std::size_t i = 0; i < count_; ++i) {
            if (threads_[i].futex == &on) {
                threads_[i].futex = nullptr;
                return;
            }
        }
    }

    void wait(bool& set, vector_clock& released) {
        point("wait");
        if (set) {
            // Perhaps by itself, to look again after others did something.
            wait_for_change();
        } else {
            mine().event_set = &set;
            block(waiting::event);
            mine().event_set = nullptr;
        }
        set = false;
        join(mine().clock, released);
    }
    void set(bool& set, vector_clock& released) {
        if (!running_) {
            set = true;
            return;
        }
        point("wake");
        empty(current_);
        join(released, mine().clock);
        ++mine().clock[current_];
        ++mine().own_writes, ++writes_;
        set = true;
    }

    void* allocate(std::size_t bytes, std::size_t alignment) {
        void* memory = ::operator new(bytes, std::align_val_t(alignment));
        blocks_.push_back({memory, bytes, alignment, false});
        return memory;
    }
    void deallocate(void* memory) {
        for (block_t& one : blocks_) {
            if (one.memory != memory) { continue; }
            if (one.freed) { fail("memory was freed twice"); }
            free_after_accesses(one);
            one.freed = true;  // It is given back at the end, so that every later use is seen.
            return;
        }
        fail("memory was freed that was not allocated");
    }

    void*& slot(const void* key, void (*destroy)(void*)) {
        auto& slots = mine().slots;
        for (auto& one : slots) {
            if (one.key == key) { return one.value; }
        }
        slots.push_back({key, nullptr, destroy});
        return slots.back().value;
    }

    void born(const void* object) {
        if (!alive_.insert(object).second) { fail("a message was built where another one lives"); }
    }
    void died(const void* object) {
        if (alive_.erase(object) == 0) { fail("a message was destroyed twice"); }
    }
    [[nodiscard]] bool is_alive(const void* object) const { return alive_.contains(object); }

private:
    using block_t = explored::block;

    // Who frees memory has to know that all others are done with it: as if it wrote everything.
    void free_after_accesses(const block_t& freed) {
        const auto* begin = static_cast<const std::byte*>(freed.memory);
        for (const auto& known : data_) {
            const auto* what = static_cast<const std::byte*>(known.first);
            if (what >= begin && what < begin + freed.bytes) { access(what, true); }
        }
    }

    thread_state& mine() { return threads_[current_]; }
    [[nodiscard]] std::uint8_t current_byte() const { return static_cast<std::uint8_t>(current_); }
    static void join(vector_clock& into, const vector_clock& from) {
        for (std::size_t i = 0; i < threads_max; ++i) { into[i] = std::max(into[i], from[i]); }
    }
    [[nodiscard]] std::uint64_t others_writes(std::size_t i) const {
        return writes_ - threads_[i].own_writes;
    }

    // ---- Points where another thread may go on ----

    void count_step(step done) {
        if (steps_.size() == options_.steps_max) { fail("it has no end"); }
        steps_.push_back(done);
    }
    std::uint64_t note(std::uint64_t value) {
        steps_.back().value = value;
        return value;
    }
    void point(const char* what) {
        reschedule();
        count_step({current_byte(), what, nullptr, 0});
    }
    void point(const place& where, const char* what) {
        reschedule();
        check_memory(&where);
        count_step({current_byte(), what, &where, 0});
    }

    void reschedule() {
        // It was chosen to go on, and has done nothing since.
        if (std::exchange(mine().chosen, false)) { return; }
        if (preemptions_ == options_.preemptions_max) { return; }
        std::array<std::size_t, threads_max> able{current_};
        std::size_t count = 1;
        for (std::size_t i = 0; i < count_; ++i) {
            if (i != current_ && can_go_on(i)) { able[count++] = i; }
        }
        const std::size_t next = able[choose(count)];
        if (next == current_) { return; }
        ++preemptions_;
        go_to(next);
    }

    // Lets others go on until what the running thread waits for is there.
    void block(waiting why) {
        mine().waits = why;
        mine().chosen = true;
        std::array<std::size_t, threads_max> able{};
        std::size_t count = find_able(able);
        if (count == 0) {
            for (std::size_t i = 0; i < count_; ++i) { empty(i); }  // They do not wait for ever.
            count = find_able(able);
        }
        for (std::size_t i = 0; count == 0 && i < count_; ++i) {
            if (threads_[i].waits == waiting::futex_or_time) { able[count++] = i; }
        }
        if (count == 0) {
            if (why == waiting::ended &&
                std::all_of(threads_.begin(), threads_.begin() + count_,
                            [](const auto& one) { return one.waits == waiting::ended; })) {
                fibers_.to_main();
                return;
            }
            fail("every thread waits, and none can go on: a wake was lost");
        }
        go_to(able[choose(count)]);
    }

    void wait_for_change() {
        block(waiting::change);
        mine().seen_writes = others_writes(current_);
        mine().looked = false;
    }

    // The running thread only when no other one is able: it has just said that it cannot do more.
    std::size_t find_able(std::array<std::size_t, threads_max>& able) const {
        std::size_t count = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            if (i != current_ && can_go_on(i)) { able[count++] = i; }
        }
        if (count == 0 && can_go_on(current_)) { able[count++] = current_; }
        return count;
    }

    [[nodiscard]] bool can_go_on(std::size_t i) const {
        const thread_state& one = threads_[i];
        switch (one.waits) {
            case waiting::nothing: return true;
            case waiting::change: return !one.looked || others_writes(i) > one.seen_writes;
            case waiting::event: return *one.event_set;
            case waiting::futex:
            case waiting::futex_or_time: return one.futex == nullptr;
            default: return false;
        }
    }

    void go_to(std::size_t next) {
        const std::size_t before = current_;
        current_ = next;
        threads_[next].waits = waiting::nothing;
        if (next != before) { fibers_.switch_to(next); }
    }

    // ---- Memory ----

    void write_first(std::size_t owner) {
        thread_state& its = threads_[owner];
        const buffered_store done = its.buffer.front();
        its.buffer.pop_front();
        if (done.to->value != done.value) { ++its.own_writes, ++writes_; }
        done.to->value = done.value;
        done.to->released = done.released;
    }
    void empty(std::size_t owner) {
        while (!threads_[owner].buffer.empty()) { write_first(owner); }
    }

    // Others' stores to this place that are still in their buffers are seen by now, or not.
    void show_others(const place& at) {
        for (std::size_t i = 0; i < count_; ++i) {
            if (i == current_) { continue; }
            auto& buffer = threads_[i].buffer;
            while (std::any_of(buffer.begin(), buffer.end(),
                               [&](const auto& one) { return one.to == &at; })) {
                if (stale_reads_ < options_.stale_reads_max && choose(2) == 1) {
                    ++stale_reads_;
                    steps_.back().what = "load, too early,";
                    break;
                }
                for (bool done = false; !done;) {
                    done = buffer.front().to == &at;
                    write_first(i);
                }
            }
        }
    }

    void check_memory(const void* where) {
        for (const block_t& one : blocks_) {
            const auto* begin = static_cast<const std::byte*>(one.memory);
            if (one.freed && where >= begin && where < begin + one.bytes) {
                fail("memory was used after it was freed");
            }
        }
    }

    // ---- Runs ----

    void run_once() {
        reset();
        program made;
        make_(made);
        count_ = made.threads.size();
        for (std::size_t i = 0; i < count_; ++i) {
            threads_[i].body = &made.threads[i];
            threads_[i].waits = waiting::nothing;
            threads_[i].chosen = true;
            threads_[i].clock[i] = 1;
        }
        current_ = choose(count_);
        running_ = true;
        fibers_.start(current_, [this](std::size_t i) { run_thread(i); });
        running_ = false;
        if (!failure_.empty()) {
            // What the abandoned threads hold is gone with them.
            (void)new program(std::move(made));
            return;
        }
        for (std::size_t i = 0; i < count_; ++i) { empty(i); }
        for (const auto& check : made.after) { check(); }
        made.after.clear();
        made.threads.clear();
        if (!alive_.empty()) { fail("a message was not destroyed"); }
        for (const block_t& one : blocks_) {
            if (!one.freed) { fail("memory was not freed"); }
            ::operator delete(one.memory, std::align_val_t(one.alignment));
        }
        blocks_.clear();
    }

    void run_thread(std::size_t i) {
        (*threads_[i].body)();
        for (auto& one : threads_[i].slots) { one.destroy(one.value); }
        threads_[i].slots.clear();
        count_step({static_cast<std::uint8_t>(i), "ends", nullptr, 0});
        block(waiting::ended);
    }

    void reset() {
        depth_ = 0;
        preemptions_ = 0;
        stale_reads_ = 0;
        writes_ = 0;
        steps_.clear();
        data_.clear();
        alive_.clear();
        for (thread_state& one : threads_) { one = thread_state(); }
    }

    bool next_schedule() {
        while (!choices_.empty()) {
            choice& last = choices_.back();
            if (last.taken + 1 < last.count) {
                ++last.taken;
                return true;
            }
            choices_.pop_back();
        }
        return false;
    }

    [[nodiscard]] std::string describe() const {
        std::unordered_map<const void*, std::size_t> names;
        std::string text;
        for (const step& one : steps_) {
            std::array<char, 96> line{};
            if (one.where == nullptr) {
                (void)std::snprintf(line.data(), line.size(), "thread %u: %s\n", one.thread,
                                    one.what);
            } else {
                const std::size_t name = names.emplace(one.where, names.size()).first->second;
                (void)std::snprintf(line.data(), line.size(), "thread %u: %s word %zu: %llx\n",
                                    one.thread, one.what, name,
                                    static_cast<unsigned long long>(one.value));
            }
            text += line.data();
        }
        return text + failure_ + '\n';
    }

    options options_;
    const std::function<void(program&)>& make_;
    fiber_set fibers_{threads_max};
    std::array<thread_state, threads_max> threads_;
    std::size_t count_ = 0;
    std::size_t current_ = 0;
    bool running_ = false;
    bool replaying_ = false;
    int preemptions_ = 0;
    int stale_reads_ = 0;
    std::uint64_t writes_ = 0;
    std::vector<choice> choices_;
    std::size_t depth_ = 0;
    std::vector<step> steps_;
    std::unordered_map<const void*, data_access> data_;
    std::unordered_set<const void*> alive_;
    std::vector<block_t> blocks_;
    std::string failure_;
};

runtime* active = nullptr;

}  // namespace

outcome explore(const options& chosen, const std::function<void(program&)>& make) {
    const leaks_allowed allowed(chosen.is_broken);
    runtime exploring(chosen, make);
    active = &exploring;
    outcome result = exploring.run();
    active = nullptr;
    return result;
}

void check(bool good, const char* what) {
    if (!good) { active->fail(what); }
}
std::size_t choose(std::size_t count) { return active->choose(count); }

std::uint64_t load(const place& from, std::memory_order order) {
    return active->load(const_cast<place&>(from), order);
}
void store(place& to, std::uint64_t value, std::memory_order order) {
    active->store(to, value, order);
}
std::uint64_t modify(place& at, update how, std::uint64_t operand, std::uint64_t mask,
                     std::memory_order order) {
    const auto change = [&](std::uint64_t& value) {
        switch (how) {
            case update::exchange: value = operand; break;
            case update::add: value += operand; break;
            case update::subtract: value -= operand; break;
            case update::bit_or: value |= operand; break;
            default: value &= operand; break;
        }
        value &= mask;
        return true;
    };
    return active->modify(at, how == update::exchange ? "exchange" : "modify", order, change);
}
bool compare_exchange(place& at, std::uint64_t& expected, std::uint64_t desired,
                      std::memory_order order) {
    bool done = false;
    const std::uint64_t wanted = expected;
    expected = active->modify(at, "compare and exchange", order, [&](std::uint64_t& value) {
        done = value == wanted;
        if (done) { value = desired; }
        return done;
    });
    return done;
}
void full_fence() { active->fence(false); }
void heavy_fence() { active->fence(true); }
void pause() { active->pause(); }
void access(const void* what, bool writes) { active->access(what, writes); }
bool futex_wait(const place& on, std::uint64_t expected, bool may_time_out) {
    return active->futex_wait(const_cast<place&>(on), expected, may_time_out);
}
void futex_wake(const place& on) { active->futex_wake(const_cast<place&>(on)); }
void* allocate(std::size_t bytes, std::size_t alignment) {
    return active->allocate(bytes, alignment);
}
void deallocate(void* memory) { active->deallocate(memory); }
void*& thread_slot(const void* key, void (*destroy)(void*)) { return active->slot(key, destroy); }
void born(const void* object) { active->born(object); }
void died(const void* object) { active->died(object); }
bool is_alive(const void* object) { return active->is_alive(object); }
void event::wait() { active->wait(set_, released_); }
void event::set() { active->set(set_, released_); }

}  // namespace heph::test::explored
