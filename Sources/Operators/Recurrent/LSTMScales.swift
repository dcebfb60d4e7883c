import Kernels

/// What the scales of a layer's tensors make of its steps.
extension LSTMStep {
    /// `cellScale`: 2^exponent; nil if tanh cannot take it, which wants 0 to 6 bits before the point. `cellClip`: 0 is
    /// none. `hiddenScale`: of the cells' outputs.
    @inline(never)
    init?(cells: Int, isCoupled: Bool, cellScale: Float, cellClip: Float, hiddenScale: Float) {
        guard let exponent = powerOfTwoExponent(cellScale), (-15 ... -9).contains(exponent) else { return nil }
        self.init(
            cells: cells, isCoupled: isCoupled, cellExponent: exponent,
            cellLimit: IntegerLSTM.limit(cellClip / cellScale, 32767),
            hidden: Factor(Double(Float(0x1p-30 / Double(hiddenScale)))))
    }

    /// `input` and `recurrent`: scales of their sums; `peephole`: that of its products, 0 if there are none. `areReal`:
    /// sums are real numbers, not yet whole steps.
    @inline(never)
    mutating func set(gate: Int, input: Float, recurrent: Float, peephole: Float, areReal: Bool = false) {
        set(
            gate: gate, input: Factor(Double(input / 0x1p-12)), recurrent: Factor(Double(recurrent / 0x1p-12)),
            peephole: Factor(Double(peephole / 0x1p-12)), inputSteps: areReal ? 1 / input : 1,
            recurrentSteps: areReal ? 1 / recurrent : 1)
    }
}

extension LSTMStep.Factor {
    @inline(never)
    init(_ real: Double) {
        let multiplier = QuantizedMultiplier(real)
        // Shifted that far to the left nothing is left of 32 bits.
        let isFar = multiplier.shift > 31
        self.init(significand: isFar ? 0 : multiplier.significand, shift: isFar ? 0 : multiplier.shift)
    }
}
