// convert_trace INPUT [OUTPUT]
//
// Turns a trace that a program wrote by `setup::trace` into JSON for chrome://tracing or
// ui.perfetto.dev. Without OUTPUT, to INPUT with .json in the place of its extension. A file that
// is there is not overwritten. What can be read of a damaged trace is converted, with a message and
// exit code 1.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include <heph/rt/trace_format.hpp>

#include "chrome_trace.hpp"

namespace {

int fail(const std::string& message) {
    std::cerr << "convert_trace: " << message << '\n';
    return EXIT_FAILURE;
}

// Gives what is wrong with the trace, or nothing.
std::string convert(std::istream& in, std::ostream& out) {
    heph::tools::chrome_trace chrome;
    heph::rt::trace_reader reader;
    std::string wrong;
    std::array<char, 65'536> piece;
    out << chrome.begin();
    while (wrong.empty() && in) {
        in.read(piece.data(), piece.size());
        reader.feed({piece.data(), static_cast<std::size_t>(in.gcount())});
        for (;;) {
            const auto packet = reader.next();
            if (!packet) {
                wrong = packet.error().message();
                break;
            }
            if (!*packet) { break; }
            out << chrome.add(**packet);
        }
    }
    out << chrome.end();
    if (wrong.empty() && in.bad()) { return "it cannot be read"; }
    if (wrong.empty() && reader.unread_bytes() != 0) { wrong = "its end is missing"; }
    if (!wrong.empty()) { wrong += ", at byte " + std::to_string(reader.position()); }
    return wrong;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 2 || count > 3) { return fail("usage: convert_trace INPUT [OUTPUT]"); }
    const std::filesystem::path input = arguments[1];
    const std::filesystem::path output =
        count == 3 ? std::filesystem::path(arguments[2])
                   : std::filesystem::path(input).replace_extension(".json");
    std::ifstream in(input, std::ios::binary);
    if (!in) { return fail("cannot open " + input.string()); }
    if (std::filesystem::exists(output)) { return fail(output.string() + " exists"); }
    std::ofstream out(output, std::ios::binary);
    if (!out) { return fail("cannot make " + output.string()); }
    const std::string wrong = convert(in, out);
    out.close();
    if (!out) { return fail("cannot write " + output.string()); }
    if (!wrong.empty()) { return fail(input.string() + ": " + wrong); }
    return EXIT_SUCCESS;
}
