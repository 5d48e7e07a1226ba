#include <heph/core/detail/os_thread.hpp>

#include <algorithm>
#include <ctime>
#include <memory>
#include <type_traits>

#include <pthread.h>

#include <heph/inbox/assert.hpp>

namespace heph::detail {

static_assert(std::is_same_v<pthread_t, unsigned long>, "the handle is kept as one");

namespace {

// What the new thread gets; it destroys it.
struct start_of_thread {
    std::unique_ptr<thread_main> main;
    std::string name;
};

void* run_thread(void* data) noexcept {
    const std::unique_ptr<start_of_thread> start(static_cast<start_of_thread*>(data));
    if (!start->name.empty()) {
        // Linux takes 15 characters. Without a name it runs just as well.
        (void)pthread_setname_np(pthread_self(), start->name.substr(0, 15).c_str());
    }
    start->main->run();
    return nullptr;
}

class thread_attributes {
public:
    thread_attributes() noexcept { pthread_attr_init(&attributes_); }
    thread_attributes(const thread_attributes&) = delete;
    thread_attributes& operator=(const thread_attributes&) = delete;
    ~thread_attributes() { pthread_attr_destroy(&attributes_); }
    [[nodiscard]] pthread_attr_t* get() noexcept { return &attributes_; }

private:
    pthread_attr_t attributes_{};
};

}  // namespace

std::expected<os_thread, std::error_code> os_thread::start(
    std::string name, std::size_t stack_size, std::unique_ptr<thread_main> main) noexcept {
    thread_attributes attributes;
    int error = 0;
    if (stack_size != 0) { error = pthread_attr_setstacksize(attributes.get(), stack_size); }
    pthread_t handle{};
    if (error == 0) {
        try {
            auto start = std::make_unique<start_of_thread>(std::move(main), std::move(name));
            error = pthread_create(&handle, attributes.get(), &run_thread, start.get());
            if (error == 0) { (void)start.release(); }
        } catch (const std::bad_alloc&) { error = ENOMEM; }
    }
    if (error != 0) { return std::unexpected(std::error_code(error, std::system_category())); }
    return os_thread(handle);
}

os_thread::~os_thread() { HEPH_ASSERT(!is_owned_); }

bool os_thread::is_current() const noexcept {
    return is_owned_ && pthread_equal(handle_, pthread_self()) != 0;
}

void os_thread::join() noexcept {
    HEPH_ASSERT(is_owned_ && !is_current());
    is_owned_ = false;
    (void)pthread_join(handle_, nullptr);
}

std::chrono::nanoseconds os_thread::cpu_time() const noexcept {
    clockid_t clock{};
    timespec ran{};
    if (pthread_getcpuclockid(handle_, &clock) != 0 || clock_gettime(clock, &ran) != 0) {
        return {};
    }
    return std::chrono::seconds(ran.tv_sec) + std::chrono::nanoseconds(ran.tv_nsec);
}

void os_thread::detach() noexcept {
    HEPH_ASSERT(is_owned_);
    is_owned_ = false;
    (void)pthread_detach(handle_);
}

namespace {

// A thread waits for few timers at a time, so that a list is enough.
constinit thread_local thread_timer* armed_timers = nullptr;
constinit thread_local const stop_signal* stop_of_thread = nullptr;

}  // namespace

thread_stop::thread_stop(const stop_signal& signal) noexcept { stop_of_thread = &signal; }
thread_stop::~thread_stop() { stop_of_thread = nullptr; }

stop_future thread_stopping() noexcept {
    return stop_of_thread != nullptr ? stop_of_thread->stopping() : stop_future(nullptr);
}

polled<void> thread_timer::poll(const waker& waker) noexcept {
    if (std::chrono::steady_clock::now() >= when_) {
        disarm();
        return ready;
    }
    waker_ = waker;
    if (!armed_) {
        armed_ = true;
        previous_ = nullptr;
        next_ = armed_timers;
        if (next_ != nullptr) { next_->previous_ = this; }
        armed_timers = this;
    }
    return pending;
}

steady_time thread_timer::wake_due() noexcept {
    if (armed_timers == nullptr) { return steady_time::max(); }
    const steady_time now = std::chrono::steady_clock::now();
    steady_time next = steady_time::max();
    for (thread_timer* timer = armed_timers; timer != nullptr;) {
        thread_timer& one = *std::exchange(timer, timer->next_);
        if (one.when_ > now) {
            next = std::min(next, one.when_);
        } else {
            one.disarm();
            one.waker_.wake();
        }
    }
    return next;
}

void thread_timer::disarm() noexcept {
    if (!std::exchange(armed_, false)) { return; }
    (previous_ != nullptr ? previous_->next_ : armed_timers) = next_;
    if (next_ != nullptr) { next_->previous_ = previous_; }
}

}  // namespace heph::detail
