import CEdgeOpt
import Compression
import Model

extension Trainer {
    /// Writes everything that `restore` needs to go on with the same bits: parameters, the optimizer's values, averages,
    /// states, constraints, the step, the learning rate, and the caller's `position`. All or nothing.
    package func save(_ path: String) throws(Failure) {
        var file = CheckpointFile()
        file.add("optimizer", try Bytes(copying: Array(options.optimizer.definition.name.utf8)))
        file.add("step", try Bytes(copying: [UInt64(step).littleEndian]))
        file.add("rate", try Bytes(copying: [schedule.rate.bitPattern.littleEndian]))
        file.add("position", try Bytes(copying: position))
        for (name, memory) in memories { file.add(name, memory.contents) }
        for (name, state) in flexibleStates { file.add(name, try Bytes(copying: state())) }
        try file.write(path)
    }

    /// Goes on where `save` was called. The trainer must be made of the same model with the same optimizer; on failure
    /// it stays as it is.
    package func restore(_ path: String) throws(Failure) {
        let file = try CheckpointFile(Bytes(try Storage.map(path: path)), origin: path)
        var reader = SectionReader(file, path)
        let optimizer = try reader.next("optimizer").array(of: UInt8.self)
        guard optimizer.elementsEqual(options.optimizer.definition.name.utf8) else {
            throw reader.mismatch(
                "it is one of optimizer '\(String(decoding: optimizer, as: UTF8.self))', not of"
                    + " '\(options.optimizer.definition.name)'")
        }
        let step = try reader.next("step", size: 8).array(of: UInt64.self)[0].littleEndian
        let rate = Float(bitPattern: try reader.next("rate", size: 4).array(of: UInt32.self)[0].littleEndian)
        guard step < 1 << 60, rate >= 0, rate.isFinite else {
            throw reader.mismatch("it has step \(step) and learning rate \(rate)")
        }
        let position = try reader.next("position").array(of: UInt8.self)
        var contents: [Bytes] = []
        for (name, memory) in memories { contents.append(try reader.next(name, size: memory.byteCount)) }
        var states: [[UInt8]] = []
        for (name, _) in flexibleStates { states.append(try reader.next(name).array(of: UInt8.self)) }
        try reader.end()
        try restoreFlexible(states)
        for ((_, memory), bytes) in zip(memories, contents) { memory.set(bytes.array(of: Float.self)) }
        self.step = Int(step)
        self.position = position
        schedule.rate = rate
    }

    /// All floats, by the names of their sections.
    private var memories: [(name: String, memory: FloatMemory)] {
        var all: [(name: String, memory: FloatMemory)] = []
        for (index, parameter) in parameters.enumerated() {
            let name = "/\(index)/" + parameter.name
            all.append(("parameter" + name, parameter.trained))
            all.append(("first" + name, parameter.first))
            all.append(("second" + name, parameter.second))
            all.append(("average" + name, parameter.average))
        }
        for (index, values) in stateValues.enumerated() {
            for (place, memory) in values.states.enumerated() { all.append(("state/\(index)/\(place)", memory)) }
        }
        return all
    }

    /// What constraints and states keep themselves.
    private var flexibleStates: [(name: String, state: () -> [UInt8])] {
        var all: [(name: String, state: () -> [UInt8])] = []
        for (index, parameter) in parameters.enumerated() {
            if let constraint = parameter.constraint { all.append(("constraint/\(index)", { constraint.state })) }
        }
        for (index, state) in source.states.enumerated() { all.append(("memory/\(index)", { state.memory })) }
        return all
    }

    /// All or nothing.
    private func restoreFlexible(_ states: [[UInt8]]) throws(Failure) {
        let old = flexibleStates.map { $0.state() }
        do throws(Failure) { try setFlexible(states) } catch {
            do throws(Failure) { try setFlexible(old) } catch { throw error }
            throw error
        }
    }

    private func setFlexible(_ states: [[UInt8]]) throws(Failure) {
        var place = 0
        for parameter in parameters {
            guard let constraint = parameter.constraint else { continue }
            try constraint.restore(states[place])
            place += 1
        }
        for state in source.states {
            try state.restore(states[place])
            place += 1
        }
    }
}

/// Takes the sections of a checkpoint in the order in which they are expected.
private struct SectionReader {
    private let file: CheckpointFile
    private let path: String
    private var place = 0

    init(_ file: CheckpointFile, _ path: String) {
        self.file = file
        self.path = path
    }

    func mismatch(_ what: Sentence) -> Failure {
        Failure(EO_INVALID_ARGUMENT, "\(path): the checkpoint is not of this training: \(what)")
    }

    mutating func next(_ name: String, size: Int? = nil) throws(Failure) -> Bytes {
        guard place < file.sections.count else { throw mismatch("'\(name)' is missing") }
        let section = file.sections[place]
        guard section.name == name else { throw mismatch("it has '\(section.name)' where '\(name)' belongs") }
        guard size == nil || section.contents.count == size else {
            throw mismatch("'\(name)' has \(section.contents.count) bytes, not \(size ?? 0)")
        }
        place += 1
        return section.contents
    }

    func end() throws(Failure) {
        guard place == file.sections.count else { throw mismatch("it has more parameters") }
    }
}
